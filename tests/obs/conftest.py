"""A running fake OBS, and somebody who opens links to it, for every test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from connection_stage import Caller
from fake_obs import FakeObs


@pytest.fixture
def obs() -> Iterator[FakeObs]:
    """A fake OBS that asks for the password "secret"."""
    with FakeObs(password="secret") as running:
        yield running


@pytest.fixture
def caller() -> Iterator[Caller]:
    """Links it opens are closed after the test."""
    caller = Caller()
    yield caller
    for link in caller.links:
        link.close()
