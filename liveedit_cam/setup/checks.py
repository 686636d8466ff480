"""All checks, in the order a picture takes. A new one is a function and a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from liveedit_cam.setup import cameras, desktop, engine, morning, reach, virtual_camera
from liveedit_cam.setup.computer import Computer
from liveedit_cam.setup.findings import Finding

Check = Callable[[Computer], Iterator[Finding]]
"""Looks at one thing, changes nothing, raises nothing a user could cause."""

CHECKS: tuple[Check, ...] = (
    cameras.cameras,
    virtual_camera.virtual_camera,
    desktop.pipewire,
    desktop.screen,
    engine.weights,
    engine.engine,
    engine.memory,
    reach.obs,
    reach.page,
    morning.service,
)


def look(computer: Computer, checks: Sequence[Check] = CHECKS) -> Iterator[Finding]:
    """What each check finds, as soon as it is found."""
    for check in checks:
        yield from check(computer)
