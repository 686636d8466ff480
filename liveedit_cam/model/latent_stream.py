"""One edit of one video, chunk by chunk: encoded, denoised beside its source, both decoded.

Keeps caches between chunks. Knows no full-size picture and no field; reads no words: text encoder
and taught words are kept here for EditStream.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from liveedit_cam.model.conditioning import KVPolicy, TextConditioning
from liveedit_cam.model.config import ModelConfig, model_size
from liveedit_cam.model.dit import CausalDiT
from liveedit_cam.model.field import Steadier
from liveedit_cam.model.generator import Denoiser, denoise_chunk
from liveedit_cam.model.governor import Setting, memory_ladder
from liveedit_cam.model.history import ShownLatents
from liveedit_cam.model.kv_cache import KVCache
from liveedit_cam.model.mask_cache import MaskCache
from liveedit_cam.model.schedule import FlowSchedule
from liveedit_cam.model.speed.fast import Speed, best_speed, denoiser_for, kernels_for, prepare
from liveedit_cam.model.speed.replay import CudaRecorder, Recorder
from liveedit_cam.model.stream_codec import (
    FrugalCodec,
    MovableText,
    PromptEncoder,
    StreamCodec,
    refused_chunk,
)
from liveedit_cam.types import Pixels

NUM_CODEC_WARM_UPS = 3
"""Chunks of a warm-up that go through the codec: its first two have shapes of their own."""


@dataclass(frozen=True, slots=True, eq=False)
class Networks:
    """What a model consists of, loaded."""

    dit: CausalDiT
    codec: StreamCodec
    text: PromptEncoder
    words: frozenset[str] | None = None
    """Those the model was taught; None = any."""
    decodes_source: bool = True
    """Whether the change is measured between decoded pictures, which cancels what the codec loses
    and costs a second decoding, or against the source itself."""
    light_codec: Callable[[], StreamCodec] | None = None
    """Makes a codec that takes less memory, for ``apply``; None = there is none."""


@dataclass(slots=True, eq=False)
class Past:
    """What one stream has seen so far; a new stream has a new one.

    Keys, values and the mask cache's outputs are not in it: recorded work knows their addresses,
    so that they are emptied and not made anew.
    """

    steadier: Steadier | None
    shown: ShownLatents = field(default_factory=ShownLatents)
    prompt: str | None = None
    """Of the instruction that the last chunk followed."""
    seed: int | None = None
    source: Tensor | None = None
    """Latents of the last chunk's source, (B, C, T, h, w)."""


class LatentStream:
    """One edit of one video stream, compared as the codec shows it. One thread owns it."""

    def __init__(
        self,
        config: ModelConfig,
        networks: Networks,
        device: torch.device,
        dtype: torch.dtype,
        *,
        kv_policy: KVPolicy = "keep",
        speed: Speed | None = None,
        recorder: Callable[[torch.device], Recorder] = CudaRecorder,
    ) -> None:
        """Move the DiT to ``device`` and ``dtype``; codec and text encoder stay where they are.

        ``speed`` None = the best for ``device``. Raises UsageError for a speed that the device
        cannot have; ``recorder`` is what records where it says so.
        """
        self.config = config
        self.device = device
        self.dtype = dtype
        self.words = networks.words
        self.kv_policy: KVPolicy = kv_policy
        self.schedule = FlowSchedule(config.timesteps, config.shift)
        self.speed = best_speed(device) if speed is None else speed
        self.dit = networks.dit.to(device, dtype).eval().requires_grad_(False)
        prepare(self.dit, self.speed)
        self._kernels = kernels_for(self.speed, config, device, dtype)
        self._recorder = recorder
        self.codec = networks.codec
        self._text = networks.text
        self._decodes_source = networks.decodes_source
        self._light_codec = networks.light_codec
        self._is_kept_warm = False
        # a regressed change is held where its source holds still, and its doubt takes a side;
        # pictures made anew need neither
        is_regressed = config.prediction == "source_change"
        self.new_steadier: Callable[[], Steadier] | None = Steadier if is_regressed else None
        self._begin()

    def _begin(self) -> None:
        """What belongs to one stream and not to its networks."""
        self._mask = MaskCache(self.config, self.speed.num_buckets)
        self._cache: KVCache | None = None
        self._denoiser: Denoiser = self.dit
        self._noise = torch.Generator(self.device)
        self._size: tuple[int, int] | None = None
        self._past = self._new_past()
        self.skip_ratio = 0.0  # share of tokens that the last chunk's middle steps reused
        self.recomputed: Tensor | None = None  # bool (T, h, w): those computed anew; None = all

    def _new_past(self) -> Past:
        return Past(self._steadier())

    def _steadier(self) -> Steadier | None:
        return None if self.new_steadier is None else self.new_steadier()

    @property
    def chunk_frames(self) -> int:
        """Frames the next ``edit`` takes; a codec's first chunk may be shorter."""
        return self.codec.frames_for(self.config.chunk_latents)

    def ladder(self) -> tuple[Setting, ...]:
        """What ``apply`` can give up, as ``memory_ladder``."""
        return memory_ladder(
            self.config,
            has_frugal_codec=isinstance(self.codec, FrugalCodec),
            has_light_codec=self._light_codec is not None,
            has_large_text=isinstance(self._text, MovableText),
        )

    def apply(self, setting: Setting) -> None:
        """Run by ``setting`` from the next chunk on; another window or size starts a new stream."""
        before, config = self.config, setting.config
        self.config = config
        self.schedule = FlowSchedule(config.timesteps, config.shift)
        self._mask.config = config
        if setting.uses_light_codec and self._light_codec is not None:
            self.codec, self._light_codec = self._light_codec(), None
            self._decodes_source = True  # it loses much of a picture: that must not look like edits
            self._size = None
        if isinstance(self.codec, FrugalCodec):
            self.codec.one_by_one = setting.one_by_one
        if setting.text_on_cpu and isinstance(self._text, MovableText):
            self._text.to_cpu()
        if not config.shares_stream(before):
            self._size = None
        if self._size is None:
            self._cache, self._denoiser = None, self.dit
            self.reset()  # now, so that ``chunk_frames`` is that of the new stream

    def free_text(self) -> bool:
        """Give back what a text encoder keeps on the device between prompts; False = nothing."""
        return isinstance(self._text, MovableText) and self._text.let_go()

    @property
    def kv_latents(self) -> int:
        """Latents now in the KV cache."""
        return self._cache.num_latents if self._cache else 0

    def reset(self) -> None:
        """Forget the stream; weights stay."""
        if self._cache:
            self._cache.reset()
        self._mask.reset()
        self._past = self._new_past()
        self.codec.reset()

    @torch.inference_mode()
    def decoded(
        self, small: Pixels, conditioning: TextConditioning, seed: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Source and edit of one chunk as ``change`` compares them: float32 (T, 3, h, w) in [0, 1].

        Takes what ``change`` takes, and advances the stream. Raises EditorError.
        """
        token_px = self.config.token_px
        is_whole = small.ndim == 4 and small.shape[1] % token_px == small.shape[2] % token_px == 0
        if not is_whole or small.shape[3] != 3:
            size = f"h, w in whole tokens of {token_px} pixels"
            raise refused_chunk(small.shape, self.chunk_frames, size)
        self._settle(small.shape[1], small.shape[2], small.shape, "h, w")
        self._prepare(conditioning, seed)
        pixels = torch.from_numpy(small).to(self.device).float() / 255
        source_frames = pixels.permute(3, 0, 1, 2).unsqueeze(0)
        source = self.codec.encode(source_frames)
        return self._decode(source_frames, source, self._edit_latents(source, conditioning))

    @torch.inference_mode()
    def warm_up(self, height: int = 720, width: int = 1280) -> None:
        """Compile and record what ``speed`` asks for, for pictures of that shape, before any came.

        Takes a minute or more where it compiles. From now on another size is warmed up as it comes.
        """
        if self.speed.needs_warm_up:
            self._resize(*model_size(self.config, height, width))
            self._warm_up()
            self._is_kept_warm = True

    def _warm_up(self) -> None:
        """Run every kind of chunk there is at the size set last, codec included."""
        assert self._cache is not None, "_resize makes the cache"
        assert self._size is not None, "_resize sets the size"
        text = self.config.text
        silence = torch.zeros(1, text.max_tokens, text.width, device=self.device, dtype=self.dtype)
        conditioning = TextConditioning("", tuple(self.dit.text_kv(silence)), ())
        self._prepare(conditioning, 0)
        tokens = self._cache.chunk_tokens
        whole = [tokens] * (self.config.window_latents // self.config.chunk_latents)
        for number, count in enumerate((*whole, *self._mask.counts(tokens))):
            if number < NUM_CODEC_WARM_UPS:  # the first, which may be shorter, and later ones
                frames = torch.zeros(1, 3, self.chunk_frames, *self._size, device=self.device)
                source = self.codec.encode(frames)
            recomputed = torch.arange(tokens, device=self.device) < count
            self._mask.edit_mask = None if count == tokens else recomputed
            self._past.source = None
            edited = self._edit_latents(source, conditioning)
            if number < NUM_CODEC_WARM_UPS:
                self._decode(frames, source, edited)
        self.reset()
        self.skip_ratio = 0.0

    def _resize(self, height: int, width: int) -> bool:
        """Follow a change of the size in pixels; whether there was one."""
        if self._size == (height, width):
            return False
        self._cache, self._denoiser = None, self.dit  # before the next: both need not fit
        grid = (height // self.config.token_px, width // self.config.token_px)
        self._cache = KVCache(
            self.config, grid, self.device, self.dtype,
            kernels=self._kernels, keeps_rotated=self.speed.keeps_rotated,
        )  # fmt: skip
        self._denoiser = denoiser_for(self.speed, self.dit, self._cache, self._recorder)
        self._size = (height, width)
        self.reset()
        return True

    def _settle(self, height: int, width: int, shape: tuple[int, ...], size: str) -> None:
        """Start a stream where the size is another, then refuse what is not its next chunk."""
        is_new = self._resize(height, width)  # first: a new stream may want fewer frames
        if shape[0] != self.chunk_frames:
            raise refused_chunk(shape, self.chunk_frames, size)
        if is_new and self._is_kept_warm:
            self._warm_up()

    def _prepare(self, conditioning: TextConditioning, seed: int) -> None:
        """Follow a change of seed or instruction: another one is one of another prompt."""
        past = self._past
        if past.seed != seed or past.steadier is not None:  # other noise would flicker
            past.seed = seed
            self._noise.manual_seed(seed)
        if past.prompt not in (None, conditioning.prompt):
            self._switch(conditioning)
        past.prompt = conditioning.prompt

    def _switch(self, conditioning: TextConditioning) -> None:
        """A new instruction: recompute everything once, treat the history by ``kv_policy``."""
        assert self._cache is not None, "an instruction switched before the first chunk"
        self._mask.reset()
        self._past.steadier = self._steadier()
        if self.kv_policy == "keep":
            return
        self._cache.reset()
        if self.kv_policy == "recache":
            self._past.shown.rewrite(self.dit, self._cache, conditioning.kv)

    def _edit_latents(self, source: Tensor, conditioning: TextConditioning) -> Tensor:
        """One chunk of latents (B, C, T, h, w), the same shape out."""
        assert self._cache is not None, "_prepare makes the cache"
        last = self._past.source
        moved = None if last is None else (source - last)[:, 0].abs().mean()
        self._past.source = source
        self._mask.plan(moved)
        has_middle = len(self.schedule.timesteps) > 2
        self.skip_ratio = self._mask.skip_ratio if has_middle else 0.0
        mask = self._mask.recomputed if has_middle else None
        self.recomputed = None if mask is None else mask.view(-1, *self._cache.grid)
        x0 = denoise_chunk(
            self._denoiser, source, conditioning.kv, self.schedule, self._cache, self._mask,
            self._noise, context_pass=self.config.context_pass,
        )  # fmt: skip
        if self.kv_policy == "recache":
            self._past.shown.add(x0, source, self.config)
        return x0

    def _decode(self, small: Tensor, source: Tensor, x0: Tensor) -> tuple[Tensor, Tensor]:
        """Source and edit at model size, what is compared; float (T, 3, h, w), on the device."""
        if self._decodes_source:
            frames = self.codec.decode(torch.cat((source, x0)))
        else:
            frames = torch.cat((small, self.codec.decode(x0)))
        before, after = frames.transpose(1, 2).float()
        return before, after
