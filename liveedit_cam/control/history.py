"""The figures of the last five minutes, for plots. Lock: ``_lock``; any thread."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from threading import Lock

from liveedit_cam.types import Status

SPAN_S = 300
EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One second."""

    at: float
    """Seconds of ``time.monotonic()``."""
    sink_fps: float
    glass_to_sink_ms: float
    field_age_ms: float
    reuse: float
    """Share of tokens the mask cache reused, 0..1."""


class History:
    """A ring of samples, one a second."""

    def __init__(self) -> None:
        """Nothing noted yet."""
        self._lock = Lock()
        self._samples: deque[Sample] = deque(maxlen=round(SPAN_S / EVERY_S))

    def note(self, status: Status, now: float) -> None:
        """Keep the figures where the last ones are a second old; ``now`` in seconds, monotonic."""
        with self._lock:
            if self._samples and now < self._samples[-1].at + EVERY_S:
                return
            self._samples.append(
                Sample(
                    now,
                    status.sink_fps,
                    status.glass_to_sink.p50_ms,
                    status.field_age.p50_ms,
                    status.cache_skip,
                )
            )

    def columns(self, now: float) -> dict[str, list[float]]:
        """The samples by name, oldest first; ``ago_s`` is how long ago each was."""
        with self._lock:
            samples = list(self._samples)
        return {
            "ago_s": [round(now - one.at, 2) for one in samples],
            "sink_fps": [round(one.sink_fps, 2) for one in samples],
            "glass_to_sink_ms": [round(one.glass_to_sink_ms, 1) for one in samples],
            "field_age_ms": [round(one.field_age_ms, 1) for one in samples],
            "reuse": [round(one.reuse, 3) for one in samples],
        }
