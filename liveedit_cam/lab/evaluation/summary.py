"""Means over pairs by family, scope, clip and origin, and the bars they are held to.

Knows results, no pictures and no files. A figure that does not exist (the outside of a
whole-picture edit) is left out of a mean, never counted as 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from liveedit_cam.lab.edits.spec import Family
from liveedit_cam.lab.evaluation.benchmark import Result
from liveedit_cam.lab.evaluation.phrasing import group_of

FLICKER_FLOOR = 0.05
"""Levels of 255 added to both sides of a flicker ratio: less is rounding, not flicker."""


@dataclass(frozen=True, slots=True)
class Row:
    """Means over some pairs; None = no pair has that figure."""

    name: str
    num_pairs: int
    whole_db: float
    gain_db: float | None
    """Whole picture, above the unedited source; None for pairs that ask for no edit."""
    inside_db: float | None
    inside_gain_db: float | None
    inside_ssim: float | None
    inside_ssim_gain: float | None
    outside_db: float | None
    right_rate: float
    """Over all wordings of these pairs."""
    flicker: float
    """Of the output over the source's, a ratio of means."""
    target_flicker: float
    """Of the exact target over the source's: what the edit itself brings along."""
    motion: float | None
    """Dynamic degree of the output over the source's, a ratio of means; None = a still source."""
    target_motion: float | None
    """Dynamic degree of the exact target over the source's."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A share and how many it is of."""

    share: float
    count: int


@dataclass(frozen=True, slots=True)
class Wordings:
    """How well instructions are understood, by where their wording is from; None = none asked."""

    taught: Rate | None
    unseen: Rate | None
    taught_of_same: Rate | None
    """Over the edits that are asked for in both; so the edits are the same."""
    unseen_of_same: Rate | None
    all_right: Rate
    """Pairs of which every wording is understood."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One requirement and what was measured."""

    name: str
    wanted: str
    value: str
    is_met: bool | None
    """None = not measured."""
    drawn: str = ""
    """The same on drawn scenes, which are like some that took part in training."""


@dataclass(frozen=True, slots=True)
class Summary:
    """All that a report says in figures."""

    overall: Row
    by_family: tuple[Row, ...]
    by_scope: tuple[Row, ...]
    by_clip: tuple[Row, ...]
    """Real clips one by one; all drawn scenes are one row."""
    wordings: Wordings
    codec_db: float
    bars: tuple[Bar, ...]


def summarise(results: Sequence[Result], codec_db: float) -> Summary:
    """Summarise at least one result; ``codec_db`` is the codec's own PSNR."""
    families = _rows(results, lambda r: str(r.pair.spec.family))
    overall, wordings = _row("all", results), _wordings(results)
    return Summary(
        overall=overall,
        by_family=families,
        by_scope=_rows(results, lambda r: group_of(r.pair.spec)),
        by_clip=_rows(results, lambda r: r.pair.clip if r.pair.is_real else "drawn scenes"),
        wordings=wordings,
        codec_db=codec_db,
        bars=_bars(results, codec_db),
    )


def is_edit(result: Result) -> bool:
    """Whether a pair asks for any change."""
    return result.pair.spec.family is not Family.IDENTITY


def gain_db(result: Result) -> float:
    """Whole picture, above the unedited source."""
    return result.picture.whole_db - result.picture.source_whole_db


def _rows(results: Sequence[Result], name_of: Callable[[Result], str]) -> tuple[Row, ...]:
    names = sorted({name_of(result) for result in results})
    return tuple(_row(name, [r for r in results if name_of(r) == name]) for name in names)


def _row(name: str, results: Sequence[Result]) -> Row:
    pictures = [result.picture for result in results]
    motions = [result.motion for result in results]
    flicker = _mean(m.flicker for m in motions) or 0.0
    target_flicker = _mean(m.target_flicker for m in motions) or 0.0
    source_flicker = _mean(m.source_flicker for m in motions) or 0.0
    source_motion = _mean(m.source_motion for m in motions) or 0.0
    whole = _mean(p.whole_db for p in pictures)
    assert whole is not None, f"no result in {name}"
    return Row(
        name=name,
        num_pairs=len(results),
        whole_db=whole,
        gain_db=_mean(gain_db(r) for r in results if is_edit(r)),
        inside_db=_mean(p.inside_db for p in pictures),
        inside_gain_db=_mean(_difference(p.inside_db, p.source_inside_db) for p in pictures),
        inside_ssim=_mean(p.inside_ssim for p in pictures),
        inside_ssim_gain=_mean(_difference(p.inside_ssim, p.source_inside_ssim) for p in pictures),
        outside_db=_mean(p.outside_db for p in pictures),
        right_rate=_mean(float(u.is_right) for r in results for u in r.understood) or 0.0,
        flicker=_flicker_ratio(flicker, source_flicker),
        target_flicker=_flicker_ratio(target_flicker, source_flicker),
        motion=_ratio(_mean(m.motion for m in motions) or 0.0, source_motion),
        target_motion=_ratio(_mean(m.target_motion for m in motions) or 0.0, source_motion),
    )


def _wordings(results: Sequence[Result]) -> Wordings:
    both = [r for r in results if {u.wording.is_unseen for u in r.understood} == {True, False}]
    every = [all(u.is_right for u in r.understood) for r in results]
    return Wordings(
        taught=_rate(results, is_unseen=False),
        unseen=_rate(results, is_unseen=True),
        taught_of_same=_rate(both, is_unseen=False),
        unseen_of_same=_rate(both, is_unseen=True),
        all_right=Rate(sum(every) / len(every), len(every)),
    )


def _rate(results: Sequence[Result], *, is_unseen: bool) -> Rate | None:
    asked = [u.is_right for r in results for u in r.understood if u.wording.is_unseen is is_unseen]
    return Rate(sum(asked) / len(asked), len(asked)) if asked else None


def _bars(results: Sequence[Result], codec_db: float) -> tuple[Bar, ...]:
    """Held on the test clips, where there are any, and beside them on drawn scenes."""
    real = [result for result in results if result.pair.is_real]
    drawn = [result for result in results if not result.pair.is_real]
    codec = _least_bar("codec alone", 32.0, codec_db, "dB")
    if not real or not drawn:
        return (*_bars_of(results), codec)
    both = zip(_bars_of(real), _bars_of(drawn), strict=True)
    return (*(replace(bar, drawn=other.value) for bar, other in both), codec)


def _bars_of(results: Sequence[Result]) -> tuple[Bar, ...]:
    edits = [result for result in results if is_edit(result)]
    whole = _mean(result.picture.whole_db for result in edits)
    outside = _mean(result.picture.outside_db for result in edits)
    families = _rows(results, lambda r: str(r.pair.spec.family))
    gains = [(f.gain_db, f.name) for f in families if f.gain_db is not None]
    least = min(gains, default=(None, ""))
    lowest = _least_bar("gain over the unedited source, least family", 0.0, least[0], "dB")
    return (
        _rate_bar("right target, wordings of training", 0.90, _rate(results, is_unseen=False)),
        _rate_bar("right target, unseen wordings", 0.80, _rate(results, is_unseen=True)),
        _least_bar("composited PSNR, mean over edits", 32.0, whole, "dB"),
        replace(lowest, value=f"{lowest.value} ({least[1]})" if least[1] else lowest.value),
        _least_bar("unedited pixels, mean over edits", 40.0, outside, "dB"),
        _flicker_bar(_row("all", results)),
    )


def _flicker_bar(row: Row) -> Bar:
    value = f"{row.flicker:.2f} (exact targets: {row.target_flicker:.2f})"
    return Bar("flicker over the source's", "at most 1.15", value, row.flicker <= 1.15)


def _rate_bar(name: str, least: float, rate: Rate | None) -> Bar:
    wanted = f"at least {least:.0%}"
    if rate is None:
        return Bar(name, wanted, "not measured", None)
    return Bar(name, wanted, f"{rate.share:.1%} of {rate.count}", rate.share >= least)


def _least_bar(name: str, least: float, value: float | None, unit: str) -> Bar:
    wanted = f"at least {least:g} {unit}"
    if value is None:
        return Bar(name, wanted, "not measured", None)
    return Bar(name, wanted, f"{value:.1f} {unit}", value >= least)


def _mean(values: Iterable[float | None]) -> float | None:
    kept = [value for value in values if value is not None]
    return sum(kept) / len(kept) if kept else None


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _flicker_ratio(a: float, b: float) -> float:
    return (a + FLICKER_FLOOR) / (b + FLICKER_FLOOR)


def _ratio(a: float, b: float) -> float | None:
    return a / b if b > 0 else None
