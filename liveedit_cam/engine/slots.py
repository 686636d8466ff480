"""Pictures in one block of shared memory: input slots, then output slots. Knows no messages.

The daemon creates and unlinks the block; the engine process attaches to it by its name. Who may
write which slots at a time follows from the messages: input slots belong to the engine process from
Edit to its answer, output slots from Edit to Edited.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from liveedit_cam.errors import EngineError

if TYPE_CHECKING:
    from liveedit_cam.types import Pixels

_MEMORY_FOLDER = Path("/dev/shm")
"""Where Linux keeps shared memory; other systems have no such folder and no such limit."""


@dataclass(frozen=True, slots=True)
class SlotLayout:
    """What a process must know to attach to the block."""

    name: str
    """Name of the shared memory; "" before it was created."""
    width: int
    height: int
    num_slots: int
    """Input slots; there are as many output slots."""

    @property
    def slot_bytes(self) -> int:
        """Bytes of one picture, uint8 (H, W, 3)."""
        return self.width * self.height * 3


class FrameSlots:
    """The block, seen from one process. Used by one thread of each process."""

    def __init__(self, memory: SharedMemory, layout: SlotLayout) -> None:
        """Use ``create`` or ``attach``."""
        shape = (2, layout.num_slots, layout.height, layout.width, 3)
        self.layout = layout
        self._memory = memory
        self._slots: Pixels | None = np.ndarray(shape, np.uint8, memory.buf)

    @classmethod
    def create(cls, width: int, height: int, num_slots: int) -> FrameSlots:
        """Make a block for chunks of up to ``num_slots`` frames, fewer where memory is short.

        Writing beyond what /dev/shm can hold would kill the process, hence the look at its size.
        Raises EngineError where not even one frame fits.
        """
        wanted = SlotLayout("", width, height, num_slots)
        if _MEMORY_FOLDER.is_dir():
            free_bytes = shutil.disk_usage(_MEMORY_FOLDER).free
            num_slots = min(num_slots, free_bytes // (2 * wanted.slot_bytes))
            if num_slots < 1:
                raise EngineError(
                    f"Shared memory has {free_bytes >> 20} MiB left, expected at least "
                    f"{(2 * wanted.slot_bytes >> 20) + 1} MiB for {width}x{height} pictures.",
                    hint="Free some of /dev/shm, give the container more of it, or choose a "
                    "smaller picture with --width and --height.",
                )
        try:
            memory = SharedMemory(create=True, size=2 * num_slots * wanted.slot_bytes)
        except OSError as error:
            raise EngineError(
                f"Shared memory for {2 * num_slots} pictures of {width}x{height} cannot be made: "
                f"{error}.",
                hint="Check that the system offers shared memory to this user.",
            ) from error
        return cls(memory, SlotLayout(memory.name, width, height, num_slots))

    @classmethod
    def attach(cls, layout: SlotLayout) -> FrameSlots:
        """See a block another process made. Raises FileNotFoundError where it is gone."""
        return cls(SharedMemory(layout.name), layout)

    def write_inputs(self, pictures: Sequence[Pixels]) -> None:
        """Copy uint8 (H, W, 3) pictures into input slots 0 .. n-1."""
        self._write(0, pictures)

    def write_outputs(self, pictures: Sequence[Pixels]) -> None:
        """Copy uint8 (H, W, 3) pictures into output slots 0 .. n-1."""
        self._write(1, pictures)

    def inputs(self, count: int) -> tuple[Pixels, ...]:
        """Read-only views of input slots 0 .. count-1, uint8 (H, W, 3); valid until the answer."""
        slots = self._open()[0, :count]
        slots.flags.writeable = False
        return tuple(slots)

    def copy_outputs(self, count: int) -> tuple[Pixels, ...]:
        """Copies of output slots 0 .. count-1, uint8 (H, W, 3)."""
        return tuple(slot.copy() for slot in self._open()[1, :count])

    def close(self, *, unlink: bool) -> None:
        """Let go of the block; ``unlink`` frees it for everyone. May be called twice."""
        if self._slots is None:
            return
        self._slots = None
        self._memory.close()
        if unlink:
            self._memory.unlink()

    def _write(self, side: int, pictures: Sequence[Pixels]) -> None:
        assert len(pictures) <= self.layout.num_slots, f"{len(pictures)} pictures, {self.layout}"
        for slot, pixels in zip(self._open()[side], pictures, strict=False):
            assert pixels.shape == slot.shape, f"picture {pixels.shape}, slot {slot.shape}"
            slot[:] = pixels

    def _open(self) -> Pixels:
        assert self._slots is not None, "the slots were closed"
        return self._slots
