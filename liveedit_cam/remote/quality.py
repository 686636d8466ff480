"""How much a camera sends: JPEG quality by how long its chunks are on the way. Pure."""

from __future__ import annotations

HIGHEST, LOWEST = 80, 30
"""80 is a megabit a second and costs the edit nothing that can be measured; 30 is half of it."""
SLOW_S, FAST_S = 0.15, 0.06
"""Seconds on the way beyond the round trip, above which less is sent, below which more."""
NUM_SLOW, NUM_FAST = 2, 20
"""Chunks in a row that must be slow, or fast."""


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
