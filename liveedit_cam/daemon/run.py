"""What the loops of one run share: the status, the figures, the clock, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event

from liveedit_cam.daemon.board import Board
from liveedit_cam.daemon.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Ends:
    """How the loops tell each other, and the program, that something is over."""

    source: Event = field(default_factory=Event)
    """No more frames will come."""
    editing: Event = field(default_factory=Event)
    """The source has ended and the engine has nothing more to edit."""
    composing: Event = field(default_factory=Event)
    """The last frame of a source with an end has been edited."""
    run: Event = field(default_factory=Event)
    """The program has nothing more to do."""


@dataclass(frozen=True, slots=True)
class Run:
    """Handed to every loop."""

    board: Board
    metrics: Metrics
    now: Callable[[], float]
    """Seconds on a monotonic clock."""
    stop: Event = field(default_factory=Event)
    """Set by whoever ends the run."""
    ends: Ends = field(default_factory=Ends)
