"""How much a camera sends: JPEG quality by how long its chunks are on the way, and the size of the
pictures by how old fields get. Pure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from liveedit_cam.types import ModelSize

HIGHEST, LOWEST = 80, 30
"""80 is a megabit a second and costs the edit nothing that can be measured; 30 is half of it."""
SLOW_S, FAST_S = 0.15, 0.06
"""Seconds on the way beyond the round trip, above which less is sent, below which more."""
NUM_SLOW, NUM_FAST = 2, 20
"""Chunks in a row that must be slow, or fast."""

SMALL_SHARE, LEAST_TOKENS = 0.66, 4
"""Of a server's tokens, where fields get too old: 256x144 instead of 320x176 for nano."""


class JpegQuality:
    """Quality of the next chunk. One thread."""

    def __init__(self) -> None:
        self.level = HIGHEST
        self._num_slow = self._num_fast = 0

    def took(self, transfer_s: float) -> None:
        """Note how long a chunk and its answer were on the way, less the round trip."""
        self._num_slow = self._num_slow + 1 if transfer_s > SLOW_S else 0
        self._num_fast = self._num_fast + 1 if transfer_s < FAST_S else 0
        if self._num_slow >= NUM_SLOW:
            self.level, self._num_slow = max(LOWEST, self.level - 15), 0
        elif self._num_fast >= NUM_FAST:
            self.level, self._num_fast = min(HIGHEST, self.level + 5), 0


class AgeWatch(Protocol):
    """``model.governor``'s, which is not known here."""

    def note(self, age_s: float, *, has_less: bool, has_more: bool) -> int: ...


class PictureSize:
    """Size of the next chunk's pictures. One thread."""

    def __init__(self, watch: AgeWatch) -> None:
        """Smaller ones where it says that fields get too old."""
        self._watch, self._is_small = watch, False
        self._newest_at: float | None = None

    def of(self, whole: ModelSize) -> ModelSize:
        """What is sent where a server takes ``whole``."""
        if not self._is_small:
            return whole
        return replace(whole, num_tokens=max(LEAST_TOKENS, int(SMALL_SHARE * whole.num_tokens)))

    def replaced(self, newest_at: float, now: float) -> bool:
        """A field of a frame captured at ``newest_at`` came at ``now``, in monotonic seconds: note
        how old the one before it was. True where the size changes.
        """
        before, self._newest_at = self._newest_at, newest_at
        if before is None:
            return False
        by = self._watch.note(now - before, has_less=not self._is_small, has_more=self._is_small)
        self._is_small ^= by != 0
        return by != 0
