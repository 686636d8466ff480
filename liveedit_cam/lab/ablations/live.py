"""Parts on the stream: a change of instruction, minutes without a reset, window and sinks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

import numpy as np

from liveedit_cam.lab.ablations.cases import LOCAL, WHOLE, Case
from liveedit_cam.lab.ablations.clock import BlockClock
from liveedit_cam.lab.ablations.records import DriftRow, SwitchRow, VariantRow
from liveedit_cam.lab.ablations.rig import Setup, Steps, Variant, compare, make_stream
from liveedit_cam.lab.edits.clips import Clip
from liveedit_cam.lab.evaluation.benchmark import Video, as_pixels, as_tensor
from liveedit_cam.lab.evaluation.metrics import capped_psnr
from liveedit_cam.model import EditStream, ModelConfig
from liveedit_cam.model.conditioning import KVPolicy

POLICIES: tuple[KVPolicy, ...] = ("keep", "recache", "reset")
CHUNKS_BEFORE, CHUNKS_AFTER = 6, 8
"""Edited under the old instruction, and watched under the new one."""
NEAR_DB = 0.5
WINDOWS, SINKS = (2, 3, 4, 5, 6), (0, 1, 2)
"""In chunks; the window counts sinks and the current chunk."""
WINDOW_CHUNKS = 10
LIVE_FPS = 12.0
"""Frames that a live stream edits per second on two cores; what counts as a minute of drift."""


@dataclass(frozen=True, slots=True)
class Switched:
    """One change of instruction under one policy."""

    gaps_db: tuple[float, ...]
    """PSNR each chunk after it lacks to a fresh start."""
    switch_time: float
    """Time of the first chunk after it; 1 = that of a later one."""


def switch_part(setup: Setup) -> tuple[SwitchRow, ...]:
    """After a new instruction, how soon is the picture as good as a fresh start?"""
    networks, config = setup.networks, setup.networks.config
    streams = [make_stream(networks, Variant(p, config, policy=p)) for p in POLICIES]
    fresh = make_stream(networks, Variant("fresh", config))
    cases = setup.cases(KINDS, per_clip=1)
    switches = [pair for clip in setup.clips for pair in _switches(cases, clip)]
    setup.steps.begin(len(switches) * len(POLICIES))
    clock = BlockClock(networks.device)
    found: defaultdict[str, list[Switched]] = defaultdict(list)
    for before, after in switches:
        wanted = _watch(fresh, after, clock)[0]
        for stream in streams:
            found[stream.kv_policy].append(_switch(stream, before, after, wanted, clock))
            setup.steps.advance()
    return tuple(_switch_row(policy, found[policy]) for policy in POLICIES)


KINDS = (LOCAL, WHOLE)


def _switches(cases: Sequence[Case], clip: Clip) -> list[tuple[Case, Case]]:
    """Every case on ``clip`` to every other one on it."""
    own = [case for case in cases if case.clip is clip]
    return [(one, other) for one in own for other in own if one is not other]


def _switch(
    stream: EditStream, before: Case, after: Case, fresh_db: Sequence[float], clock: BlockClock
) -> Switched:
    stream.reset()
    conditioning, count = stream.encode_text(before.prompt), stream.chunk_frames
    for chunk in range(CHUNKS_BEFORE):
        stream.edit(before.source(chunk * count, count), conditioning)
    values, seconds = _watch(stream, after, clock, is_fresh=False)
    gaps = tuple(wanted - value for wanted, value in zip(fresh_db, values, strict=True))
    return Switched(gaps, seconds[0] / median(seconds[1:]))


def _watch(
    stream: EditStream, case: Case, clock: BlockClock, *, is_fresh: bool = True
) -> tuple[list[float], list[float]]:
    """PSNR and seconds of each of the chunks after the switch."""
    if is_fresh:
        stream.reset()
    conditioning, count = stream.encode_text(case.prompt), stream.chunk_frames
    values, seconds = [], []
    for chunk in range(CHUNKS_BEFORE, CHUNKS_BEFORE + CHUNKS_AFTER):
        source = case.source(chunk * count, count)
        began = clock.read()
        output = stream.edit(source, conditioning)
        seconds.append(clock.read() - began)
        _, target, _ = case.exact(chunk * count, count)
        values.append(capped_psnr(as_tensor(output), target))
    return values, seconds


def chunks_until(gaps_db: Sequence[float], near_db: float = NEAR_DB) -> int | None:
    """Chunks after which the gap is and stays within ``near_db``; 0 = at once, None = never."""
    far = [chunk for chunk, gap in enumerate(gaps_db) if gap > near_db]
    if not far:
        return 0
    return far[-1] + 1 if far[-1] + 1 < len(gaps_db) else None


def _switch_row(policy: str, switches: Sequence[Switched]) -> SwitchRow:
    until = [chunks_until(one.gaps_db) for one in switches]
    reached = [chunks for chunks in until if chunks is not None]
    return SwitchRow(
        policy,
        len(switches),
        fmean(reached) if reached else None,
        len(until) - len(reached),
        fmean(one.gaps_db[0] for one in switches),
        median(one.switch_time for one in switches),
    )


def window_part(setup: Setup) -> tuple[VariantRow, ...]:
    """What do other windows and sinks change? The base is the model's own."""
    config = setup.networks.config
    base = Variant(_window_name(config), config)
    others = [
        Variant(_window_name(other), other)
        for other in window_configs(config)
        if other != base.config
    ]
    cases = setup.cases((LOCAL, WHOLE), per_clip=1)
    first = min(WINDOW_CHUNKS - 2, max(WINDOWS) - 1)
    return compare(setup.networks, (base, *others), cases, setup.steps, WINDOW_CHUNKS, first)


def window_configs(config: ModelConfig) -> list[ModelConfig]:
    """``config`` with every window and number of sinks that go together."""
    chunk = config.chunk_latents
    return [
        replace(config, window_latents=window * chunk, num_sink_latents=sinks * chunk)
        for window in WINDOWS
        for sinks in SINKS
        if sinks + 1 <= window
    ]


def _window_name(config: ModelConfig) -> str:
    return f"window {config.window_latents}, sinks {config.num_sink_latents}"


def drift_part(setup: Setup) -> tuple[DriftRow, ...]:
    """Does the picture get worse minute by minute? One local edit and one of the whole picture."""
    networks = setup.networks
    cases = [setup.cases((kind,), per_clip=1)[0] for kind in KINDS]
    stream = make_stream(networks, Variant("live", networks.config), holds=True)
    total = _num_chunks(setup, cases[0], stream.chunk_frames)
    setup.steps.begin(len(cases) * total)
    rows: list[DriftRow] = []
    for case in cases:
        rounds = _rounds(stream, case, total, setup.steps)
        rows += [DriftRow(case.edits, minute, db) for minute, db in by_minute(rounds)]
    return tuple(rows)


def _num_chunks(setup: Setup, case: Case, chunk_frames: int) -> int:
    """Chunks of the wanted minutes, at least one round of the clip."""
    wanted = round(60 * setup.minutes * LIVE_FPS / chunk_frames)
    return max(wanted, _round_chunks(case, chunk_frames))


def _round_chunks(case: Case, chunk_frames: int) -> int:
    """Chunks of the clip played forth and back once."""
    return max(1, 2 * (len(case.clip.frames) - 1) // chunk_frames)


def _rounds(stream: EditStream, case: Case, total: int, steps: Steps) -> list[tuple[float, float]]:
    """Minute and PSNR of each whole round of the clip; every round has the same pictures."""
    stream.reset()
    conditioning, count = stream.encode_text(case.prompt), stream.chunk_frames
    per_round = _round_chunks(case, count)
    targets: list[Video] = []
    for chunk in range(per_round):
        _, target, _ = case.exact(chunk * count, count)
        targets.append(as_pixels(target))
    errors: list[float] = []
    rounds: list[tuple[float, float]] = []
    for chunk in range(total):
        place = chunk % per_round
        output = stream.edit(case.source(place * count, count), conditioning)
        errors.append(_squared_error(output, targets[place]))
        if place == per_round - 1:
            began = (chunk + 1 - per_round) * count / LIVE_FPS / 60
            error = fmean(errors[-per_round:]) / 255**2
            rounds.append((began, float(-10 * np.log10(max(error, 1e-6)))))
        steps.advance()
    return rounds


def _squared_error(output: Video, target: Video) -> float:
    return float(np.square(output.astype(np.float32) - target).mean())


def by_minute(rounds: Sequence[tuple[float, float]]) -> list[tuple[int, float]]:
    """Mean PSNR of the rounds (minute of the start, dB) that begin in each minute."""
    minutes: defaultdict[int, list[float]] = defaultdict(list)
    for began, db in rounds:
        minutes[int(began)].append(db)
    return [(minute, fmean(values)) for minute, values in minutes.items()]
