"""How long self-attention takes inside a network that runs: a clock between the parts of blocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from liveedit_cam.model.dit import PLAIN_PARTS, Block, BlockParts, CausalDiT, Modulation, TextKV


class BlockClock:
    """Seconds of self-attention, pass by pass: gathering, projections, attention, merging."""

    def __init__(self, device: torch.device, now: Callable[[], float] = time.perf_counter) -> None:
        """``now`` in seconds; on a GPU it is asked once the device is done."""
        self.passes: list[float] = []
        """Of the current chunk: one entry per pass of the network."""
        self._device = device
        self._now = now
        self._began = 0.0
        self._first: Block | None = None

    def watch(self, dit: CausalDiT) -> None:
        """Time ``dit`` from now on; making another stream over it ends that."""
        first = dit.blocks[0]
        assert isinstance(first, Block), f"got a {type(first).__name__} among the blocks"
        self._first = first
        parts = replace(PLAIN_PARTS, enter=self._enter, cross=self._cross)
        assert isinstance(parts, BlockParts)
        for block in dit.blocks:
            assert isinstance(block, Block), f"got a {type(block).__name__} among the blocks"
            block.parts = parts

    def begin_chunk(self) -> None:
        """Forget the passes of the chunk before."""
        self.passes = []

    def _enter(self, block: Block, x: Tensor, six: Modulation) -> Tensor:
        if block is self._first:
            self.passes.append(0.0)
        y = PLAIN_PARTS.enter(block, x, six)
        self._began = self.read()
        return y

    def _cross(
        self, block: Block, x: Tensor, out: Tensor, six: Modulation, text: TextKV
    ) -> tuple[Tensor, Tensor]:
        self.passes[-1] += self.read() - self._began
        return PLAIN_PARTS.cross(block, x, out, six, text)

    def read(self) -> float:
        """Seconds, once the device has done what it was given."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return self._now()
