"""Passes of the network recorded once and replayed: CUDA graphs over fixed memory.

What may be recorded, and what must be copied before a replay, is decided here and runs on any
device; recording itself is behind ``Recorder``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from liveedit_cam.model.attention import SelfAttend
from liveedit_cam.model.config import ModelConfig
from liveedit_cam.model.dit import CausalDiT, TextKV
from liveedit_cam.model.kv_cache import KVCache
from liveedit_cam.model.mask_cache import MaskCache
from liveedit_cam.model.reuse import Reuse

_log = logging.getLogger(__name__)


class Recorder(Protocol):
    """Makes replays of device work. One thread uses it."""

    def record(self, work: Callable[[], Tensor | None]) -> Callable[[], Tensor | None]:
        """Run ``work`` as often as it likes, and return what does the same again, but faster.

        A replay reads and writes the very memory that ``work`` did, and runs none of its Python.
        The tensor it returns is written anew by the next replay.
        """


class CudaRecorder:
    """Records CUDA graphs; those of one recorder share the memory of what lies between."""

    NUM_WARMUPS = 2
    """Runs before recording: compilers and libraries set themselves up in the first."""

    def __init__(self, device: torch.device) -> None:
        """For work on ``device``."""
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        self._side = torch.cuda.Stream(device)

    def record(self, work: Callable[[], Tensor | None]) -> Callable[[], Tensor | None]:
        with torch.cuda.device(self._device):
            side, current = self._side, torch.cuda.current_stream()
            side.wait_stream(current)
            with torch.cuda.stream(side):
                for _ in range(self.NUM_WARMUPS):
                    work()
            current.wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            # thread_local: a prompt is encoded on another thread meanwhile, which may allocate
            with torch.cuda.graph(
                graph, pool=self._pool, stream=side, capture_error_mode="thread_local"
            ):
                out = work()

        def replay() -> Tensor | None:
            graph.replay()
            return out

        return replay


@dataclass(frozen=True, slots=True, eq=False)
class _Inputs:
    """Where recorded passes read; filled before each replay."""

    latents: Tensor
    source: Tensor
    timestep: Tensor
    text: tuple[TextKV, ...]


class ReplayedDiT:
    """A CausalDiT whose passes over one KV cache are recorded, once the window is full; a Denoiser.

    One recording for each kind of pass: whole and storing for the mask cache, whole, each bucket
    of tokens, the clean-context pass. What does not fit one runs plainly: a window that still
    grows, another cache, a mask cache without buckets. A pass that cannot be recorded runs plainly
    from then on, as all others do; only want of memory is raised. One thread owns it.
    """

    def __init__(self, dit: CausalDiT, cache: KVCache, recorder: Recorder) -> None:
        """For passes over ``cache`` alone; make a new one for a new cache."""
        self._dit = dit
        self._cache = cache
        self._recorder = recorder
        self._inputs: _Inputs | None = None
        self._text: Sequence[TextKV] | None = None
        self._replays: dict[Hashable, Callable[[], Tensor | None]] = {}
        self._gave_up = False

    @property
    def config(self) -> ModelConfig:
        """Sizes of the network."""
        return self._dit.config

    def __call__(
        self,
        noisy: Tensor,
        source: Tensor,
        timestep: Tensor,
        text: Sequence[TextKV],
        attend_self: SelfAttend,
        reuse: Reuse | None = None,
    ) -> Tensor:
        """As CausalDiT; the result is valid until the next call."""
        kind = reuse.kind if isinstance(reuse, MaskCache) and reuse.num_buckets else None
        if not self._can_replay(attend_self) or (reuse is not None and kind is None):
            return self._dit(noisy, source, timestep, text, attend_self, reuse)
        inputs = self._fill(noisy, source, timestep, text)
        out = self._run(
            ("step", kind),
            lambda: self._dit(
                inputs.latents, inputs.source, inputs.timestep, inputs.text, attend_self, reuse
            ),
        )
        assert out is not None, "a step has an output"
        return out

    def write_context(
        self, clean: Tensor, source: Tensor, text: Sequence[TextKV], attend_self: SelfAttend
    ) -> None:
        """As CausalDiT."""
        if not self._can_replay(attend_self):
            self._dit.write_context(clean, source, text, attend_self)
            return
        inputs = self._fill(clean, source, None, text)
        self._run(
            "context",
            lambda: self._dit.write_context(
                inputs.latents, inputs.source, inputs.text, attend_self
            ),
        )

    def _can_replay(self, attend_self: SelfAttend) -> bool:
        return not self._gave_up and attend_self is self._cache and self._cache.is_rolling

    def _run(self, kind: Hashable, work: Callable[[], Tensor | None]) -> Tensor | None:
        self._cache.rotate_histories()  # once a chunk, so in no recording
        if kind not in self._replays:
            try:
                self._replays[kind] = self._recorder.record(work)
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                _log.exception("pass %s cannot be recorded; all run plainly from now on", kind)
                self._gave_up, self._replays = True, {}
                return work()
        return self._replays[kind]()

    def _fill(
        self, latents: Tensor, source: Tensor, timestep: Tensor | None, text: Sequence[TextKV]
    ) -> _Inputs:
        """Copy a pass's inputs to where recordings read them; the text only when it is another."""
        if timestep is None:
            timestep = torch.zeros(latents.shape[0], latents.shape[2], device=latents.device)
        old = self._inputs
        if old is None or [k.shape for k, _ in old.text] != [k.shape for k, _ in text]:
            copies = tuple((k.clone(), v.clone()) for k, v in text)
            old = _Inputs(latents.clone(), source.clone(), timestep.clone(), copies)
            self._inputs, self._text, self._replays = old, text, {}
            return old
        old.latents.copy_(latents)
        old.source.copy_(source)
        old.timestep.copy_(timestep)
        if text is not self._text:
            for (k, v), (new_k, new_v) in zip(old.text, text, strict=True):
                k.copy_(new_k)
                v.copy_(new_v)
            self._text = text
        return old


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether memory ran out, also where the end of a recording hides it behind its own error."""
    while error is not None:
        if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
            return True
        error = error.__cause__ or error.__context__
    return False
