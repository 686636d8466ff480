"""What to give up, in which order, when memory runs out or a chunk takes too long. Knows no torch.

Memory: first history, then picture size, then the exact codec, then the text encoder's place on the
device. Time: first denoising steps, then how small a change may be and still be recomputed. A
governor only decides; whoever holds the stream applies the ``Setting``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from liveedit_cam.model.config import ModelConfig

SIZE_SHARES = (0.75, 0.5)
"""Sides of the smaller pictures that are tried, as shares of the model's own."""
THRESHOLD_FACTORS = (1.0, 2.0, 4.0)
"""Mask thresholds that are tried, as multiples of the model's own."""
FEWEST_STEPS = 2
SLOW_CHUNKS, FAST_CHUNKS = 3, 40
"""Chunks in a row that must miss the target, or beat it, before something changes."""
HEADROOM = 0.75
"""A chunk must need no more than this share of its time before something is given back."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How a stream is run."""

    config: ModelConfig
    uses_light_codec: bool = False
    text_on_cpu: bool = False

    def differences(self, before: Setting) -> str:
        """In words, what this gives up compared with ``before``."""
        parts = []
        ours, theirs = self.config, before.config
        if ours.window_latents != theirs.window_latents:
            parts.append(f"window {theirs.window_latents} -> {ours.window_latents} latents")
        if (ours.width, ours.height) != (theirs.width, theirs.height):
            parts.append(f"picture {theirs.width}x{theirs.height} -> {ours.width}x{ours.height}")
        if ours.timesteps != theirs.timesteps:
            parts.append(f"steps {len(theirs.timesteps)} -> {len(ours.timesteps)}")
        if ours.mask_threshold != theirs.mask_threshold:
            parts.append(f"mask threshold {theirs.mask_threshold:g} -> {ours.mask_threshold:g}")
        if self.uses_light_codec != before.uses_light_codec:
            parts.append("light codec" if self.uses_light_codec else "exact codec")
        if self.text_on_cpu != before.text_on_cpu:
            parts.append("text encoder on the processor" if self.text_on_cpu else "text on device")
        return ", ".join(parts) or "nothing"


def memory_ladder(
    config: ModelConfig, *, has_light_codec: bool, has_large_text: bool
) -> tuple[Setting, ...]:
    """Settings from the model's own down to the least memory, each giving up one thing more."""
    settings = [Setting(config)]
    smallest = config.num_sink_latents + 2 * config.chunk_latents
    for window in range(config.window_latents - config.chunk_latents, 0, -config.chunk_latents):
        if window >= smallest:
            settings.append(replace(settings[-1], config=replace(config, window_latents=window)))
    for share in SIZE_SHARES:
        last = settings[-1]
        smaller = replace(
            last.config,
            height=_whole_tokens(config.height * share, config.token_px),
            width=_whole_tokens(config.width * share, config.token_px),
        )
        settings.append(replace(last, config=smaller))
    if has_light_codec:
        settings.append(replace(settings[-1], uses_light_codec=True))
    if has_large_text:
        settings.append(replace(settings[-1], text_on_cpu=True))
    return tuple(settings)


def _whole_tokens(pixels: float, token_px: int) -> int:
    return max(2, round(pixels / token_px)) * token_px


def fewer_steps(timesteps: tuple[int, ...], count: int) -> tuple[int, ...]:
    """``count`` timesteps from 1000 down, evenly spaced, as the model's own four are."""
    if count >= len(timesteps):
        return timesteps
    return tuple(round(timesteps[0] * (count - i) / count) for i in range(count))


class Governor:
    """Steps down when told that memory ran out, and holds a rate by what chunks take."""

    def __init__(self, ladder: tuple[Setting, ...], target_fps: float | None = None) -> None:
        """``ladder`` as of ``memory_ladder``; ``target_fps`` None = take the time it takes."""
        self._ladder = ladder
        self._level = 0
        self._target_fps = target_fps
        steps = len(ladder[0].config.timesteps)
        self._paces = [
            *((count, 1.0) for count in range(steps, FEWEST_STEPS - 1, -1)),
            *((FEWEST_STEPS, factor) for factor in THRESHOLD_FACTORS[1:]),
        ]
        self._pace = 0
        self._num_slow = 0
        self._num_fast = 0

    @property
    def setting(self) -> Setting:
        """How the stream should be run now."""
        setting = self._ladder[self._level]
        count, factor = self._paces[self._pace]
        config = replace(
            setting.config,
            timesteps=fewer_steps(setting.config.timesteps, count),
            mask_threshold=setting.config.mask_threshold * factor,
        )
        return replace(setting, config=config)

    def out_of_memory(self) -> str | None:
        """Give up one thing more; says what, None when there is nothing left to give up."""
        if self._level + 1 == len(self._ladder):
            return None
        before = self.setting
        self._level += 1
        return self.setting.differences(before)

    def took(self, seconds: float, num_frames: int) -> str | None:
        """Note what a chunk took; says what changes now to hold the target, None = nothing."""
        if self._target_fps is None:
            return None
        budget_s = num_frames / self._target_fps
        self._num_slow = self._num_slow + 1 if seconds > budget_s else 0
        self._num_fast = self._num_fast + 1 if seconds < HEADROOM * budget_s else 0
        if self._num_slow >= SLOW_CHUNKS and self._pace + 1 < len(self._paces):
            return self._change_pace(1)
        if self._num_fast >= FAST_CHUNKS and self._pace > 0:
            return self._change_pace(-1)
        return None

    def _change_pace(self, by: int) -> str:
        before = self.setting
        self._pace += by
        self._num_slow = self._num_fast = 0
        return self.setting.differences(before)
