"""Waiting without a thread: until when, how many, and what ends it."""

from __future__ import annotations

import asyncio

import pytest

from liveedit_cam.control.waiting import TooManyWaiting, Until, Waiting
from liveedit_cam.errors import ControlError
from liveedit_cam.types import Settled


class Stage:
    """An instruction that is encoded at 1 s and visible at 2 s, on a clock of its own."""

    def __init__(self, most: int = 32) -> None:
        self.now_s = 0.0
        self.waiting = Waiting(self.look, most=most, now=lambda: self.now_s, sleep=self.sleep)
        self.leaves_s = 1000.0

    async def wait(self, revision: int, until: Until, timeout_s: float) -> Settled:
        return await self.waiting.wait(revision, until, timeout_s, has_left=self.has_left)

    async def has_left(self) -> bool:
        return self.now_s >= self.leaves_s

    def look(self, revision: int) -> Settled:
        if revision == 3:
            raise ControlError("Got revision 3.")
        refused = "impossible" if revision == 2 and self.now_s >= 1 else None
        encoded_s = 1.0 if revision == 1 and self.now_s >= 1 else None
        visible_s = 2.0 if revision == 1 and self.now_s >= 2 else None
        return Settled(revision, encoded_s, visible_s, refused, None, None)

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("revision", "until", "timeout_s", "ends_s"),
    [
        (1, Until.ENCODED, 10.0, 1.0),
        (1, Until.VISIBLE, 10.0, 2.0),
        (1, Until.VISIBLE, 0.5, 0.5),
        (1, Until.VISIBLE, 0.0, 0.0),
        (2, Until.VISIBLE, 10.0, 1.0),
        (2, Until.ENCODED, 10.0, 1.0),
    ],
)
def test_it_ends_when_it_is_known_or_in_time(
    revision: int, until: Until, timeout_s: float, ends_s: float
) -> None:
    """Catches a wait that misses a refusal, or that outlasts its time."""
    stage = Stage()
    found = asyncio.run(stage.wait(revision, until, timeout_s))
    assert stage.now_s == pytest.approx(ends_s, abs=0.03)
    assert (found.refused is not None) == (revision == 2)


def test_an_unknown_revision_ends_it() -> None:
    """Catches an error that leaves a place taken for ever."""
    stage = Stage(most=1)
    for _ in range(3):
        with pytest.raises(ControlError):
            asyncio.run(stage.wait(3, Until.VISIBLE, 1.0))


def test_only_so_many_wait() -> None:
    """Catches requests that pile up without bound."""
    stage = Stage(most=2)

    async def crowd() -> list[object]:
        waits = [stage.wait(1, Until.VISIBLE, 5.0) for _ in range(3)]
        return list(await asyncio.gather(*waits, return_exceptions=True))

    found = asyncio.run(crowd())
    assert [isinstance(one, TooManyWaiting) for one in found] == [False, False, True]


def test_who_leaves_gives_up_the_place() -> None:
    """Catches places held for 25 s by clients that are gone."""
    stage = Stage()
    stage.leaves_s = 0.5
    asyncio.run(stage.wait(1, Until.VISIBLE, 25.0))
    assert stage.now_s == pytest.approx(0.5, abs=0.03)
