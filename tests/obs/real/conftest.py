"""One real OBS for all tests of this folder; a test that kills one starts its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from real_obs import MISSING, RealObs, Screen
from recorder import open_link

from liveedit_cam.obs.link import ObsLink

INSTRUCTIONS = ["make it night", "golden light", "make it sepia"]
"""The list of the Lua script."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if MISSING and here in item.path.parents:
            reason = f"needs {' and '.join(MISSING)} (apt install obs-studio obs-plugins xvfb)"
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def screen() -> Iterator[Screen]:
    found = Screen()
    yield found
    found.close()


@pytest.fixture(scope="session")
def new_obs(
    screen: Screen, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], RealObs]]:
    """Starts an OBS with a home of its own; it is ended after the last test."""
    started: list[RealObs] = []

    def start() -> RealObs:
        obs = RealObs(tmp_path_factory.mktemp("obs"), screen.display, INSTRUCTIONS)
        started.append(obs)
        obs.start()
        obs.wait_ready()
        return obs

    yield start
    for obs in started:
        obs.kill()


@pytest.fixture(scope="session")
def real_obs(new_obs: Callable[[], RealObs]) -> RealObs:
    """The shared one: scenes Scene, Day, Night and Dawn, a fade of 300 ms, two silent inputs."""
    obs = new_obs()
    link = open_link(obs)
    for scene in ("Day", "Night", "Dawn"):
        link.request("CreateScene", {"sceneName": scene})
    link.close()
    return obs


@pytest.fixture
def link(real_obs: RealObs) -> Iterator[ObsLink]:
    """A link for the test's own requests."""
    found = open_link(real_obs)
    yield found
    found.close()
