"""What the sinks show, every 1/fps: the edited frame, the raw one, or the still card.

``choose`` is the whole rule, as a pure function. Knows no engine and no source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from threading import Event, Lock

from liveedit_cam import pixels
from liveedit_cam.daemon.ledger import EditLedger
from liveedit_cam.daemon.mailbox import Latest
from liveedit_cam.daemon.metrics import Metrics
from liveedit_cam.daemon.outlet import Outlet
from liveedit_cam.daemon.playout import Playout
from liveedit_cam.daemon.run import Run
from liveedit_cam.pacing import Pacer
from liveedit_cam.types import Frame, Mode, OnFailure, Pixels, State

MIN_HOLD_S = 0.5
"""Gaps shorter than this are the normal distance of chunks, not a failure."""
REST_TICKS = 6
"""At rest, one of so many ticks is written: five a second of thirty."""

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


@dataclass(frozen=True, slots=True)
class Screens:
    """What the sinks are fed from and what they were shown."""

    size: tuple[int, int]
    """Width and height of all sinks in pixels; it never changes."""
    playout: Playout
    raw: Latest[Frame]
    shown: Latest[Frame]


class Showings:
    """Notes when an edited frame reaches the first of the sinks. Any thread. Lock: ``_lock``."""

    def __init__(self, ledger: EditLedger, metrics: Metrics, now: Callable[[], float]) -> None:
        """``now`` gives seconds on a monotonic clock."""
        self._lock = Lock()
        self._ledger = ledger
        self._metrics = metrics
        self._now = now
        self._last: Frame | None = None

    def written(self, frame: Frame) -> None:
        """A sink was given ``frame``; counts where it is edited and no sink had it before."""
        if frame.field_at is None:
            return
        with self._lock:
            if frame is self._last:
                return
            self._last = frame
        now = self._now()
        self._metrics.shown(now - frame.captured_at, now - frame.field_at, now)
        self._ledger.visible(frame.revision, now)


class Presenter:
    """One step offers one picture to all sinks. Belongs to the present thread."""

    def __init__(
        self,
        outlets: Sequence[Outlet],
        screens: Screens,
        hold_s: float,
        pacer: Pacer,
        run: Run,
        *,
        record: Callable[[Frame], None] = lambda frame: None,
        wanted: Event | None = None,
    ) -> None:
        """Sets ``run.ends.run`` once the last frame that was edited has been shown.

        ``hold_s`` is that of the Rules, whose other half the status has. ``record`` takes the
        picture of each tick as well, and must not block. While ``wanted`` is not set only every
        ``REST_TICKS``th picture is written: nobody looks at the card.
        """
        self._outlets = tuple(outlets)
        self._screens = screens
        self._hold_s = hold_s
        self._pacer = pacer
        self._board, self._metrics, self._now = run.board, run.metrics, run.now
        self._ends = run.ends
        self._record = record
        self._wanted = wanted
        self._edited: Frame | None = None
        self._edited_at = 0.0
        self._card: tuple[str, Pixels] | None = None
        self._num_ticks = 0
        self._reported: object = None
        self._report_outlets()

    def step(self) -> bool:
        """Wait for the next due time and offer one picture to all sinks. False when woken."""
        due = self._pacer.wait()
        if due is None:
            return False
        self._num_ticks += 1
        if self._wanted is not None and not self._wanted.is_set() and self._num_ticks % REST_TICKS:
            return True
        is_last = self._ends.composing.is_set() and self._screens.playout.is_drained
        began_at = self._now()
        frame = self._picture(began_at)
        for outlet in self._outlets:
            outlet.offer(frame)
        self._record(frame)
        self._metrics.ticked(began_at - due, began_at)
        self._screens.shown.put(frame)
        self._report_outlets()
        if is_last:
            self._ends.run.set()
        return True

    def _picture(self, now: float) -> Frame:
        edited = self._screens.playout.show(now)
        if edited is not self._edited:
            self._edited, self._edited_at = edited, now
            due = self._screens.playout.due
            if due is not None:
                self._pacer.keep_behind(due)
        raw = self._screens.raw.get()
        status = self._board.status()
        edited_age_s = None if edited is None else now - self._edited_at
        raw_age_s = None if raw is None else now - raw.captured_at
        rules = Rules(status.on_failure is OnFailure.RAW, self._hold_s)
        picture = choose(status.mode, rules, edited_age_s, raw_age_s)
        if picture is Picture.EDITED and edited is not None:
            return edited
        if picture is Picture.RAW and raw is not None:
            return raw
        has_raw = choose(Mode.BYPASS, rules, None, raw_age_s) is Picture.RAW
        text = slate_text(status.mode, status.state, has_raw=has_raw)
        return Frame(self._slate(text), self._num_ticks, now)

    def _report_outlets(self) -> None:
        found = tuple((outlet.name, outlet.error) for outlet in self._outlets)
        if found == self._reported:
            return
        self._reported = found
        self._board.update(sinks=tuple(name for name, _ in found))
        for number, (_, error) in enumerate(found):
            self._board.fault(f"sink {number}", error)

    def _slate(self, text: str) -> Pixels:
        if self._card is None or self._card[0] != text:
            self._card = (text, pixels.slate(*self._screens.size, TITLE, text))
        return self._card[1]
