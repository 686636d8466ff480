"""What OBS is told of the status: the text source with instruction and latency, and the delay that
the sound needs. Knows no rule; which figures of the status those are is decided here only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liveedit_cam.obs.errors import ObsRequestRefused
from liveedit_cam.types import Mode, Status

if TYPE_CHECKING:
    from liveedit_cam.obs.link import ObsLink

PERIOD_S = 1.0
"""The text is written at most this often."""
_STEP_MS = 10
"""The latency is rounded to this, or the text would never rest."""


class StatusText:
    """Keeps one text source up to date. One thread."""

    def __init__(self) -> None:
        """Nothing has been written."""
        self._name = ""
        self._written: str | None = None
        self._next_at = 0.0

    def forget(self) -> None:
        """What stands in OBS may be anything now."""
        self._written = None

    def is_due(self, now: float) -> bool:
        """Whether ``show`` may write again."""
        return now >= self._next_at

    def show(self, link: ObsLink, name: str, status: Status, now: float) -> None:
        """Write the text if it changed; while OBS refuses, try again each time. Raises ObsLost.

        That OBS has no such source is found and told with the other names of the rules.
        """
        self._next_at = now + PERIOD_S
        text = text_of(status)
        if (name, text) == (self._name, self._written):
            return
        data = {"inputName": name, "inputSettings": {"text": text}, "overlay": True}
        try:
            link.request("SetInputSettings", data)
        except ObsRequestRefused:
            self._written = None
        else:
            self._name, self._written = name, text


def text_of(status: Status) -> str:
    """What the viewer of OBS reads: "make it night, 180 ms"."""
    if status.mode is Mode.BYPASS:
        return "raw camera"
    if status.mode is Mode.SLATE:
        return "still card"
    if status.pending is not None:
        return f"{status.pending} ..."
    latency_ms = _STEP_MS * round(delay_ms(status) / _STEP_MS)
    return f"{status.instruction}, {latency_ms} ms" if status.instruction else "starting"


def delay_ms(status: Status) -> int:
    """How late the edited picture is, in milliseconds, which the sound must be too; 0 = unknown."""
    return round(status.glass_to_sink.p50_ms)
