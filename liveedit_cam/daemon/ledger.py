"""What became of each instruction: accepted, encoded, refused, visible. Knows no engine, no sinks.

The Controller accepts, the engine loop reports what the engine said, the present loop reports what
the sinks showed; whoever asked may wait for it. Only the last instructions are remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Condition
from typing import TypeVar

from liveedit_cam.daemon.mailbox import Slot
from liveedit_cam.errors import ControlError, InstructionError
from liveedit_cam.types import EditInstruction, Settled, Status

NUM_REMEMBERED = 256

T = TypeVar("T")


class EditLedger:
    """Book of the instructions. Any thread; lock: ``_changed``."""

    def __init__(self, now: Callable[[], float], notify: Callable[[], None] = lambda: None) -> None:
        """``now`` gives seconds on a monotonic clock; ``notify`` is called when there is news for
        the engine.
        """
        self._now = now
        self._notify = notify
        self._changed = Condition()
        self._newest: EditInstruction | None = None
        self._for_engine: Slot[EditInstruction] = Slot()
        self._ahead: Slot[str] = Slot()
        self._accepted: dict[int, EditInstruction] = {}
        self._refused: dict[int, str] = {}
        self._encoded_at: dict[int, float] = {}
        self._visible_at: dict[int, float] = {}
        self._notices: dict[int, str | None] = {}
        self._encoded_revision = 0
        self._visible: EditInstruction | None = None
        self._unknown: dict[str, tuple[str, ...]] = {}
        self._is_closed = False

    def accept(self, instruction: EditInstruction) -> EditInstruction:
        """Give the instruction its revision and time; it becomes what the engine should have."""
        with self._changed:
            revision = max(self._accepted, default=0) + 1
            accepted = replace(instruction, revision=revision, created_at=self._now())
            self._remember(self._accepted, revision, accepted)
            self._newest = accepted
            self._for_engine.put(accepted)
        self._notify()
        return accepted

    def next_for_engine(self) -> EditInstruction | None:
        """The newest instruction, once; None when the engine has been given it already."""
        return self._for_engine.take(0.0)

    def prepare(self, prompt: str) -> None:
        """Note a prompt that may come; the newest replaces one that still waits."""
        self._ahead.put(prompt)
        self._notify()

    def next_to_prepare(self) -> str | None:
        """The newest prompt noted ahead, once; None when there is none."""
        return self._ahead.take(0.0)

    def prepared(self, prompt: str, unknown: tuple[str, ...]) -> None:
        """The engine has encoded a prompt ahead; it does not know these words of it."""
        with self._changed:
            self._unknown[prompt] = unknown
            while len(self._unknown) > NUM_REMEMBERED:
                del self._unknown[next(iter(self._unknown))]

    def forget_prepared(self) -> None:
        """Another engine runs, which has encoded nothing ahead."""
        with self._changed:
            self._unknown.clear()

    def unknown_words(self, prompt: str) -> tuple[str, ...] | None:
        """Words the engine does not know of a prompt encoded ahead; None = it has not been yet."""
        with self._changed:
            return self._unknown.get(prompt)

    def encoded(self, revision: int, notice: str | None) -> None:
        """The engine can use it; ``notice`` is what the user should be told, None = nothing."""
        with self._changed:
            self._encoded_revision = revision
            self._remember(self._notices, revision, notice)
            self._remember(self._encoded_at, revision, self._now())
            self._changed.notify_all()

    def refused(self, revision: int, reason: str) -> None:
        """The engine cannot use it; those it replaced unencoded will not come either."""
        with self._changed:
            for replaced in self._accepted:
                if self._encoded_revision < replaced <= revision:
                    self._remember(self._refused, replaced, reason)
            self._changed.notify_all()

    def visible(self, revision: int, at: float) -> None:
        """A frame of this revision was written to the sinks at ``at`` seconds, monotonic."""
        with self._changed:
            if self._visible is not None and revision <= self._visible.revision:
                return
            instruction = self._accepted.get(revision)
            if instruction is None:  # forgotten: a newer one will be visible at once
                return
            self._visible = instruction
            self._remember(self._visible_at, revision, at)
            self._changed.notify_all()

    def find(self, revision: int) -> EditInstruction | None:
        """The instruction of that revision; None where it is forgotten."""
        with self._changed:
            return self._accepted.get(revision)

    def transition_of(self, revision: int) -> float:
        """Seconds over which that instruction is faded in; 0 where it is forgotten."""
        instruction = self.find(revision)
        return 0.0 if instruction is None else instruction.transition_s

    def wait_settled(self, revision: int, timeout_s: float) -> Settled:
        """Block until this revision is visible or refused, up to ``timeout_s`` seconds.

        Answers with what is known then; with 0 at once. Raises ControlError for a revision that is
        not known, or when the program ends.
        """
        with self._changed:
            if revision not in self._accepted:
                newest = max(self._accepted, default=0)
                raise ControlError(
                    f"Got revision {revision}, expected one of the last {NUM_REMEMBERED} "
                    f"up to {newest}.",
                    hint="Use the revision that the instruction was answered with.",
                )
            self._changed.wait_for(
                lambda: self._is_closed or self._settled(revision).is_final, timeout_s
            )
            settled = self._settled(revision)
            if self._is_closed and not settled.is_final:
                raise ControlError("The program ended before the instruction became visible.")
            return settled

    def wait_visible(self, revision: int, timeout_s: float) -> float:
        """Block until this revision or a newer one is visible; seconds from its acceptance.

        Raises InstructionError where it was refused, ControlError where it is not known, not
        visible within ``timeout_s`` seconds, or the program ends.
        """
        settled = self.wait_settled(revision, timeout_s)
        if settled.refused is not None:
            raise InstructionError(f"The model refused instruction {revision}: {settled.refused}")
        if settled.visible_s is None:
            raise ControlError(
                f"Instruction {revision} was not visible within {timeout_s:g} s.",
                hint="Look at the status: the mode must be edit and the engine live.",
            )
        return settled.visible_s

    def view(self, status: Status | None = None) -> Status:
        """``status`` (None = an empty one) with what it says of instructions as it is now."""
        with self._changed:
            newest = self._newest or EditInstruction("")
            shown = self._visible or EditInstruction("")
            is_pending = newest.revision > shown.revision and newest.revision not in self._refused
            return replace(
                status or Status(),
                instruction=shown.prompt or None,
                revision=shown.revision,
                pending=newest.prompt if is_pending else None,
                pending_revision=newest.revision if is_pending else 0,
                strength=newest.strength,
                region=newest.region,
                seed=newest.seed,
                notice=self._notices.get(self._encoded_revision),
            )

    def close(self) -> None:
        """Wake whoever waits. May be called twice."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _settled(self, revision: int) -> Settled:
        began = self._accepted[revision].created_at
        encoded_at, shown_at = self._encoded_at.get(revision), self._shown_at(revision)
        return Settled(
            revision,
            encoded_s=None if encoded_at is None else max(0.0, encoded_at - began),
            visible_s=None if shown_at is None else max(0.0, shown_at - began),
            refused=self._refused.get(revision),
            notice=self._notices.get(revision),
        )

    def _shown_at(self, revision: int) -> float | None:
        return next((at for shown, at in self._visible_at.items() if shown >= revision), None)

    @staticmethod
    def _remember(book: dict[int, T], revision: int, value: T) -> None:
        book[revision] = value
        while len(book) > NUM_REMEMBERED:
            del book[min(book)]
