"""What the second set says: a table by what is named, bars, and a tile per pair."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from liveedit_cam.lab.evaluation.named import NamedMeasured, NamedResult
from liveedit_cam.lab.evaluation.report import fill_tile, titled

IOU_BARS = {
    "background": 0.95,
    "person": 0.90,
    "hair": 0.70,
    "upper clothes": 0.75,
    "sky": 0.85,
    "vehicle": 0.70,
}
"""Mean IoU wanted of each thing."""
BY_NAME_BAR, SUBJECT_BAR, UNSEEN_BAR, OUTSIDE_BAR_DB = 0.80, 0.90, 0.80, 38.0
TILE_WIDTH_PX = 200
Column = Callable[[NamedResult], float | None]
COLUMNS: dict[str, tuple[str, Column]] = {
    "right": (".0%", lambda r: float(r.is_right)),
    "unseen wording": (".0%", lambda r: float(r.is_unseen_right)),
    "IoU": (".2f", lambda r: r.iou),
    "doubt": (".1%", lambda r: r.doubt),
    "outside dB": (".1f", lambda r: r.outside_db),
    "border error": (".1f", lambda r: r.boundary),
    "PSNR dB": (".1f", lambda r: r.psnr_db),
    "unedited dB": (".1f", lambda r: r.source_db),
}


def named_markdown(results: Sequence[NamedResult], peer: Mapping[str, float] | None = None) -> str:
    """The table by thing and the bars; ``peer`` is another program's IoU by thing, 0..1."""
    bars = _bars(results, peer or {})
    things = list(dict.fromkeys(result.pair.thing for result in results))
    head = f"| named | pairs | {' | '.join(COLUMNS)} |"
    lines = [head, "|---" * (len(COLUMNS) + 2) + "|"]
    groups = [(thing, [r for r in results if r.pair.thing == thing]) for thing in things]
    for name, group in (*groups, ("all", list(results))):
        cells = [_shown(form, _mean(map(of, group))) for form, of in COLUMNS.values()]
        lines.append(f"| {name} | {len(group)} | {' | '.join(cells)} |")
    return "\n\n".join(
        (
            "# Things by their name, on labelled test pictures",
            "\n".join(lines),
            "\n".join(("| | wanted | measured | | peer |", "|---|---|---|---|---|", *bars)),
            HOW_MEASURED,
        )
    )


HOW_MEASURED = """Each picture stands still for two chunks from a fresh stream. *Right*: the output
is nearer to its own target than to the same edit on anything else that is labelled there, in seven
other colours, or not at all. *IoU*: of the pixels that show more than half of the edit with the
mask. *Doubt*: share of pixels, away from the border, that show a quarter to three quarters of it.
*Border error*: mean error in levels of 255 within 5 pixels of the mask's border. *Peer*: person
masks of the program given with `--peer`, on the same pictures."""


def named_sources(shown: Mapping[str, str]) -> str:
    """Where the pictures of the sheet are from; ``shown`` is their attribution by name."""
    named = sorted({source for source in shown.values() if source})
    if not named:
        return ""
    lines = "\n".join(f"- <{source}>" for source in named)
    return f"\n\nPictures of the sheet whose licence asks for it (CC BY 2.0):\n\n{lines}\n"


def named_means(results: Sequence[NamedResult]) -> dict[str, float | None]:
    """Means over all pairs, and the IoU by thing, rounded."""
    means = {name: _mean(map(of, results)) for name, (_, of) in COLUMNS.items()}
    for thing in dict.fromkeys(result.pair.thing for result in results):
        means[f"IoU {thing}"] = _mean(r.iou for r in results if r.pair.thing == thing)
    return {name: None if value is None else round(value, 3) for name, value in means.items()}


def named_tile(measured: NamedMeasured) -> NDArray[np.uint8]:
    """Source, output and target side by side under the instruction; uint8 (H, W, 3)."""
    width, height = TILE_WIDTH_PX, TILE_WIDTH_PX * 9 // 16
    pictures = (measured.source, measured.output, measured.target)
    row = np.hstack([fill_tile(picture, width, height) for picture in pictures])
    result = measured.result
    figure = "" if result.iou is None else f"IoU {result.iou:.2f}"
    return titled(row, f"{result.pair.taught}   [{figure}{'' if result.is_right else ', wrong'}]")


def _bars(results: Sequence[NamedResult], peer: Mapping[str, float]) -> list[str]:
    wholes = [r for r in results if r.pair.thing in ("background", "person")]
    named = [r for r in results if r.pair.thing not in ("background", "person")]
    lines = [
        _bar("background and person right", SUBJECT_BAR, _rate(wholes), ".0%"),
        _bar("edits by name right", BY_NAME_BAR, _rate(named), ".0%"),
        _bar(
            "unseen wordings right",
            UNSEEN_BAR,
            _mean(float(r.is_unseen_right) for r in results),
            ".0%",
        ),
        _bar("unedited pixels, dB", OUTSIDE_BAR_DB, _mean(r.outside_db for r in results), ".1f"),
    ]
    for thing, least in IOU_BARS.items():
        value = _mean(r.iou for r in results if r.pair.thing == thing)
        lines.append(_bar(f"IoU of {thing}", least, value, ".2f", peer.get(thing)))
    return lines


def _bar(name: str, least: float, value: float | None, form: str, peer: float | None = None) -> str:
    word = "not measured" if value is None else "met" if value >= least else "missed"
    figures = f"{_shown(form, value)} | {word} | {_shown(form, peer)}"
    return f"| {name} | at least {least:{form}} | {figures} |"


def _rate(results: Sequence[NamedResult]) -> float | None:
    return _mean(float(r.is_right) for r in results)


def _mean(values: Iterable[float | None]) -> float | None:
    kept = [value for value in values if value is not None]
    return sum(kept) / len(kept) if kept else None


def _shown(form: str, value: float | None) -> str:
    return "" if value is None else format(value, form)
