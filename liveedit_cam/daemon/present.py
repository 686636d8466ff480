"""What the sinks show, every 1/fps: the edited frame, the raw one, or the still card.

``choose`` is the whole rule, as a pure function. Knows no engine and no source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from threading import Event
from typing import TYPE_CHECKING

from liveedit_cam import pixels
from liveedit_cam.daemon.board import Board
from liveedit_cam.daemon.ledger import EditLedger
from liveedit_cam.daemon.mailbox import Latest
from liveedit_cam.daemon.metrics import Metrics
from liveedit_cam.daemon.outlet import Outlet
from liveedit_cam.daemon.playout import Playout
from liveedit_cam.pacing import Pacer
from liveedit_cam.types import Frame, Mode, State

if TYPE_CHECKING:
    from liveedit_cam.types import Pixels

MIN_HOLD_S = 0.5
"""Gaps shorter than this are the normal distance of chunks, not a failure."""

TITLE = "liveedit-cam"


class Picture(StrEnum):
    """Which of the three pictures is written."""

    EDITED = "edited"
    RAW = "raw"
    SLATE = "slate"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the user chose for the time without an edited picture."""

    is_raw_on_failure: bool
    """True only where the user allowed the raw camera to be shown then."""
    hold_s: float
    """How long the last picture is shown again before it counts as old."""


def choose(
    mode: Mode, rules: Rules, edited_age_s: float | None, raw_age_s: float | None
) -> Picture:
    """Pick the picture. An age is the seconds since a new one came; None = there was none yet.

    The raw camera is shown in BYPASS, and in EDIT only where the rules allow it.
    """
    hold_s = max(rules.hold_s, MIN_HOLD_S)
    has_edited = edited_age_s is not None and edited_age_s <= hold_s
    has_raw = raw_age_s is not None and raw_age_s <= hold_s
    if mode is Mode.EDIT and has_edited:
        return Picture.EDITED
    is_raw_allowed = mode is Mode.BYPASS or (mode is Mode.EDIT and rules.is_raw_on_failure)
    return Picture.RAW if is_raw_allowed and has_raw else Picture.SLATE


def slate_text(mode: Mode, state: State, *, has_raw: bool) -> str:
    """The line on the card; for everyone in the meeting, so without any detail of the failure."""
    if mode is Mode.SLATE:
        return "The picture is paused."
    if not has_raw:
        return "Waiting for the camera."
    if state in (State.STARTING, State.WARMING):
        return "Starting: the picture appears in a moment."
    if state is State.RECOVERING:
        return "The editor is being started again."
    if state is State.STOPPED:
        return "The editor cannot be started."
    return "Waiting for the next picture."


class Presenter:
    """One step shows one picture. Belongs to the present thread."""

    def __init__(
        self,
        outlets: Sequence[Outlet],
        playout: Playout,
        raw: Latest[Frame],
        shown: Latest[Frame],
        *,
        size: tuple[int, int],
        rules: Rules,
        pacer: Pacer,
        ledger: EditLedger,
        board: Board,
        metrics: Metrics,
        editing_drained: Event,
        done: Event,
        now: Callable[[], float],
    ) -> None:
        """``size`` is the width and height of all sinks in pixels; it never changes.

        Sets ``done`` once ``editing_drained`` is set and the last frame has been shown.
        """
        self._outlets = tuple(outlets)
        self._playout = playout
        self._raw = raw
        self._shown = shown
        self._size = size
        self._rules = rules
        self._pacer = pacer
        self._ledger = ledger
        self._board = board
        self._metrics = metrics
        self._editing_drained = editing_drained
        self._now = now
        self._edited: Frame | None = None
        self._edited_at = 0.0
        self._written: Frame | None = None
        self._card: tuple[str, Pixels] | None = None
        self._num_ticks = 0
        self._errors: tuple[str | None, ...] = (None,) * len(outlets)
        self._done = done
        self._report_outlets()

    def step(self) -> bool:
        """Wait for the next due time and write one picture to all sinks. False when woken."""
        tick = self._pacer.wait()
        if tick is None:
            return False
        self._num_ticks += 1
        is_last = self._editing_drained.is_set() and self._playout.is_drained
        frame, picture = self._picture(self._now())
        began_at = self._now()
        if self._write(frame):
            self._metrics.written(began_at - tick.due, began_at)
            if picture is Picture.EDITED and frame is not self._written:
                self._written = frame
                self._note_first_showing(frame)
        self._shown.put(frame)
        if is_last:
            self._done.set()
        return True

    def _picture(self, now: float) -> tuple[Frame, Picture]:
        edited = self._playout.show(now)
        if edited is not self._edited:
            self._edited, self._edited_at = edited, now
        raw = self._raw.get()
        status = self._board.status()
        edited_age_s = None if edited is None else now - self._edited_at
        raw_age_s = None if raw is None else now - raw.captured_at
        picture = choose(status.mode, self._rules, edited_age_s, raw_age_s)
        if picture is Picture.EDITED and edited is not None:
            return edited, picture
        if picture is Picture.RAW and raw is not None:
            return raw, picture
        has_raw = choose(Mode.BYPASS, self._rules, None, raw_age_s) is Picture.RAW
        text = slate_text(status.mode, status.state, has_raw=has_raw)
        return Frame(self._slate(text), self._num_ticks, now), Picture.SLATE

    def _write(self, frame: Frame) -> bool:
        """True when at least one sink took the frame."""
        results = [outlet.write(frame) for outlet in self._outlets]
        errors = tuple(outlet.error for outlet in self._outlets)
        if errors != self._errors:
            self._errors = errors
            self._report_outlets()
        return any(results)

    def _note_first_showing(self, frame: Frame) -> None:
        now = self._now()
        self._metrics.shown(now - frame.captured_at)
        self._ledger.visible(frame.revision, now)

    def _report_outlets(self) -> None:
        urls = [outlet.url for outlet in self._outlets if outlet.url is not None]
        self._board.update(
            sinks=tuple(outlet.name for outlet in self._outlets),
            preview_url=urls[0] if urls else None,
        )
        for error in self._errors:
            if error is not None:
                self._board.update(last_error=error)

    def _slate(self, text: str) -> Pixels:
        if self._card is None or self._card[0] != text:
            self._card = (text, pixels.slate(*self._size, TITLE, text))
        return self._card[1]
