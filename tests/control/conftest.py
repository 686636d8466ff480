"""One browser for each file of tests, and a served controller for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser import Browser
from page_stage import Daemon


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    served = Daemon("the-token")
    yield served
    served.server.stop()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    started = Browser(tmp_path_factory.mktemp("profile"))
    yield started
    started.close()
