"""Whether the screen is locked, with logind's answers by a fake."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from fake_clock import Clock

from liveedit_cam.errors import DeviceError
from liveedit_cam.screen_lock import LOOK_S, ScreenLock


def test_it_is_asked_anew_every_two_seconds_and_silence_is_unlocked() -> None:
    """Catches a program started four times a second, and a camera off for good."""
    clock, answers, asked = Clock(), ["no", "no", "yes", None], []

    def ask(command: Sequence[str]) -> str | None:
        asked.append(command)
        return answers.pop(0)

    lock = ScreenLock(ask, clock.now)
    assert not lock.is_locked()
    clock.wait(LOOK_S / 2)
    assert not lock.is_locked()
    clock.wait(LOOK_S / 2)
    assert lock.is_locked()
    clock.wait(LOOK_S)
    assert not lock.is_locked()
    assert len(asked) == 4
    assert "LockedHint" in " ".join(asked[0])


def test_without_logind_it_is_refused_at_the_start() -> None:
    """Catches a wish that is silently not kept."""
    with pytest.raises(DeviceError, match="logind"):
        ScreenLock(lambda command: None)
