"""What to give up, in which order, when memory runs out or fields get too old. Knows no torch.

Memory: first how much the codec does at once, then history, then picture size, then the exact
codec, then the text encoder's place on the device. Time: the clean-context pass, denoising steps,
then picture size. A governor only decides; whoever holds the stream applies the ``Setting``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from liveedit_cam.model.config import ModelConfig

SIZE_SHARES = (0.75, 0.5)
"""Sides of the smaller pictures that are tried, as shares of the model's own."""
FAST_SHARE = 0.8
"""Sides of the pictures of the fastest pace, as a share of the model's own: 0.64 of the tokens."""
FULL_STEPS = (1000, 750, 500, 250)
"""The paper's timesteps, of which fewer are taken evenly."""
SLOW_CHUNKS, FAST_CHUNKS = 3, 40
"""Chunks in a row that must miss the target, or beat it, before something changes."""
HEADROOM = 0.6
"""A field must stay younger than this share of the limit before something is given back."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How a stream is run."""

    config: ModelConfig
    one_by_one: bool = False
    uses_light_codec: bool = False
    text_on_cpu: bool = False

    def differences(self, before: Setting) -> str:
        """In words, what this gives up compared with ``before``."""
        parts = []
        if self.one_by_one != before.one_by_one:
            parts.append("latents one by one" if self.one_by_one else "latents at once")
        ours, theirs = self.config, before.config
        if ours.window_latents != theirs.window_latents:
            parts.append(f"window {theirs.window_latents} -> {ours.window_latents} latents")
        if (ours.width, ours.height) != (theirs.width, theirs.height):
            parts.append(f"picture {theirs.width}x{theirs.height} -> {ours.width}x{ours.height}")
        if ours.timesteps != theirs.timesteps:
            parts.append(f"steps {len(theirs.timesteps)} -> {len(ours.timesteps)}")
        if ours.context_pass != theirs.context_pass:
            parts.append("with context pass" if ours.context_pass else "no context pass")
        if self.uses_light_codec != before.uses_light_codec:
            parts.append("light codec" if self.uses_light_codec else "exact codec")
        if self.text_on_cpu != before.text_on_cpu:
            parts.append("text encoder on the processor" if self.text_on_cpu else "text on device")
        return ", ".join(parts) or "nothing"


def memory_ladder(
    config: ModelConfig,
    *,
    has_frugal_codec: bool = False,
    has_light_codec: bool,
    has_large_text: bool,
) -> tuple[Setting, ...]:
    """Settings from the model's own down to the least memory, each giving up one thing more.

    What costs least comes first: a codec that goes latent by latent gives the same frames.
    """
    settings = [Setting(config)]
    if has_frugal_codec:
        settings.append(replace(settings[-1], one_by_one=True))
    smallest = config.num_sink_latents + 2 * config.chunk_latents
    for window in range(config.window_latents - config.chunk_latents, 0, -config.chunk_latents):
        if window >= smallest:
            settings.append(replace(settings[-1], config=replace(config, window_latents=window)))
    for share in SIZE_SHARES:
        small = _smaller(config, share)
        last = replace(settings[-1].config, height=small.height, width=small.width)
        settings.append(replace(settings[-1], config=last))
    if has_light_codec:
        settings.append(replace(settings[-1], uses_light_codec=True))
    if has_large_text:
        settings.append(replace(settings[-1], text_on_cpu=True))
    return tuple(settings)


def _smaller(config: ModelConfig, share: float) -> ModelConfig:
    """Pictures whose sides are ``share`` as long, in whole tokens."""
    px = config.token_px
    sides = (config.height, config.width)
    height, width = (max(2, round(side * share / px)) * px for side in sides)
    return replace(config, height=height, width=width)


def fewer_steps(timesteps: tuple[int, ...], count: int) -> tuple[int, ...]:
    """``count`` timesteps from 1000 down, evenly spaced, as the model's own four are."""
    if count >= len(timesteps):
        return timesteps
    return tuple(round(timesteps[0] * (count - i) / count) for i in range(count))


def paces(config: ModelConfig) -> tuple[ModelConfig, ...]:
    """From the model's own pace to the fastest: no context pass, half the steps, smaller pictures.

    A smaller picture comes last: it starts a new stream.
    """
    found = [config]
    if config.context_pass:
        found.append(replace(config, context_pass=False))
    while (num_steps := len(found[-1].timesteps)) > 1:
        fewer = fewer_steps(found[-1].timesteps, num_steps // 2)
        found.append(replace(found[-1], timesteps=fewer))
    return (*found, _smaller(found[-1], FAST_SHARE))


class AgeWatch:
    """Says by the ages of fields when to make less of them, and when more. One thread."""

    def __init__(self, max_age_s: float | None) -> None:
        """None = they may take the time they take."""
        self._max_age_s = max_age_s
        self._num_slow = self._num_fast = 0

    def note(self, age_s: float, *, has_less: bool, has_more: bool) -> int:
        """Note how old a field was when the next replaced it: 1 = make less from now on, -1 = more.

        ``has_less`` and ``has_more`` are whether there is anything to change that way.
        """
        if self._max_age_s is None:
            return 0
        self._num_slow = self._num_slow + 1 if age_s > self._max_age_s else 0
        self._num_fast = self._num_fast + 1 if age_s < HEADROOM * self._max_age_s else 0
        is_slow = has_less and self._num_slow >= SLOW_CHUNKS
        is_fast = has_more and self._num_fast >= FAST_CHUNKS
        if is_slow or is_fast:
            self._num_slow = self._num_fast = 0
        return 1 if is_slow else -1 if is_fast else 0


class Governor:
    """Steps down when told that memory ran out, and keeps fields young by fewer passes."""

    def __init__(
        self,
        ladder: tuple[Setting, ...],
        num_steps: int | None = None,
        max_field_age_s: float | None = None,
    ) -> None:
        """``ladder`` as of ``memory_ladder``.

        ``num_steps`` is kept whatever it costs; None = the model's own, fewer where fields would
        be older than ``max_field_age_s`` seconds (None = take the time it takes).
        """
        self._ladder = ladder
        self._level = 0
        self._num_paces = len(paces(ladder[0].config))
        self.set_steps(num_steps, max_field_age_s)

    def set_steps(self, num_steps: int | None, max_field_age_s: float | None) -> None:
        """The same wishes as at the beginning, from now on; what was given up for memory stays."""
        self._num_steps = num_steps
        self._watch = AgeWatch(max_field_age_s if num_steps is None else None)
        self._pace = 0

    @property
    def setting(self) -> Setting:
        """How the stream should be run now."""
        setting = self._ladder[self._level]
        config = setting.config
        if self._num_steps is not None:
            timesteps = fewer_steps(FULL_STEPS, self._num_steps)
            return replace(setting, config=replace(config, timesteps=timesteps))
        return replace(setting, config=paces(config)[self._pace])

    def out_of_memory(self) -> str | None:
        """Give up one thing more; says what, None when there is nothing left to give up."""
        if self._level + 1 == len(self._ladder):
            return None
        before = self.setting
        self._level += 1
        return self.setting.differences(before)

    def aged(self, age_s: float) -> str | None:
        """Note how old a field was when the next replaced it; says what changes, None = nothing."""
        has_less, has_more = self._pace + 1 < self._num_paces, self._pace > 0
        by = self._watch.note(age_s, has_less=has_less, has_more=has_more)
        if by == 0:
            return None
        before = self.setting
        self._pace += by
        return self.setting.differences(before)
