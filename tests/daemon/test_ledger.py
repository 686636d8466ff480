"""Revisions, what is pending, and how a wait ends."""

from __future__ import annotations

from threading import Thread

import pytest
from fake_clock import Clock

from liveedit_cam.daemon.ledger import NUM_REMEMBERED, EditLedger
from liveedit_cam.errors import ControlError, InstructionError
from liveedit_cam.types import EditInstruction


def ledger_with(*prompts: str) -> tuple[EditLedger, Clock]:
    clock = Clock()
    ledger = EditLedger(clock.now)
    for prompt in prompts:
        ledger.accept(EditInstruction(prompt))
    return ledger, clock


def test_the_engine_gets_only_the_newest_and_only_once() -> None:
    """Catches a queue of instructions worked off one by one, the last one seconds late."""
    ledger, _ = ledger_with("one", "two")
    instruction = ledger.next_for_engine()
    assert instruction is not None
    assert (instruction.prompt, instruction.revision) == ("two", 2)
    assert ledger.next_for_engine() is None


def test_pending_until_visible() -> None:
    """Catches "done" on the screen while the old edit is still to be seen."""
    ledger, clock = ledger_with("one")
    ledger.encoded(1, "unknown words: one")
    view = ledger.view()
    assert (view.instruction, view.pending, view.pending_revision) == (None, "one", 1)
    assert view.notice == "unknown words: one"
    clock.wait(0.7)
    ledger.visible(1, clock.now())
    view = ledger.view()
    assert (view.instruction, view.revision, view.pending) == ("one", 1, None)
    assert ledger.wait_visible(1, timeout_s=0.0) == pytest.approx(0.7)


def test_a_newer_visible_one_answers_for_the_replaced() -> None:
    """Catches a caller who waits for ever for an instruction that was replaced."""
    ledger, clock = ledger_with("one", "two")
    clock.wait(2.0)
    ledger.visible(2, clock.now())
    assert ledger.wait_visible(1, timeout_s=0.0) == pytest.approx(2.0)


def test_refusal_reaches_the_one_who_waits_and_those_it_replaced() -> None:
    """Catches a refusal that looks like a time-out."""
    ledger, _ = ledger_with("one", "two", "three")
    ledger.encoded(1, None)
    ledger.refused(3, "impossible")
    for revision in (2, 3):
        with pytest.raises(InstructionError, match="impossible"):
            ledger.wait_visible(revision, timeout_s=0.0)
    with pytest.raises(ControlError, match="not visible within 0 s"):
        ledger.wait_visible(1, timeout_s=0.0)
    assert ledger.view().pending is None


@pytest.mark.parametrize("revision", [0, 3, -1])
def test_unknown_revision_is_refused_at_once(revision: int) -> None:
    """Catches a wait for something that cannot come."""
    with pytest.raises(ControlError, match=f"Got revision {revision}"):
        ledger_with("one", "two")[0].wait_visible(revision, timeout_s=1000)


def test_waiters_wake_for_a_showing_and_for_the_end() -> None:
    """Catches a waiting web request that keeps the program from ending."""
    ledger, _ = ledger_with("one", "two")
    shower = Thread(target=lambda: ledger.visible(1, 1001.0))
    shower.start()
    assert ledger.wait_visible(1, timeout_s=30) == 1.0
    shower.join()
    closer = Thread(target=ledger.close)
    closer.start()
    with pytest.raises(ControlError, match="ended"):
        ledger.wait_visible(2, timeout_s=30)
    closer.join()


def test_memory_is_bounded_and_old_revisions_do_no_harm() -> None:
    """Catches a book that grows for ever, and a crash on a frame of a forgotten instruction."""
    ledger, clock = ledger_with(*["again"] * (NUM_REMEMBERED + 5))
    ledger.visible(1, clock.now())
    assert ledger.view().revision == 0
    with pytest.raises(ControlError):
        ledger.wait_visible(1, timeout_s=0.0)
    ledger.visible(NUM_REMEMBERED + 5, clock.now())
    assert ledger.view().revision == NUM_REMEMBERED + 5


def test_a_prompt_ahead_is_given_once_and_only_the_newest() -> None:
    """Catches encoding ahead that piles up while scenes are browsed, or repeats for ever."""
    ledger, _ = ledger_with()
    assert ledger.next_to_prepare() is None
    ledger.prepare("night")
    ledger.prepare("sepia")
    assert ledger.next_to_prepare() == "sepia"
    assert ledger.next_to_prepare() is None
    assert ledger.view().pending is None
