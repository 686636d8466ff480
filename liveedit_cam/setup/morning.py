"""Check of the service: does the camera come by itself, and did it fail."""

from __future__ import annotations

from collections.abc import Iterator

from liveedit_cam.errors import LiveEditError
from liveedit_cam.setup import service as services
from liveedit_cam.setup.computer import Computer
from liveedit_cam.setup.findings import Finding, Fix, ok, warn

CHECK = "service"


def service(computer: Computer) -> Iterator[Finding]:
    """Whether liveedit-cam starts with the session; to start it by hand is no fault."""
    try:
        manager = services.this_manager(computer.environ, computer.system, computer.root)
        found = services.state(manager, computer.run)
    except LiveEditError as error:
        yield ok(CHECK, f"none: {error}".rstrip("."))
        return
    if not found.is_installed:
        yield ok(CHECK, "none; to have the camera every morning: liveedit-cam service install")
    elif found.is_up:
        yield ok(CHECK, f"runs under {manager.name}")
    else:
        yield warn(
            CHECK,
            f"installed under {manager.name}, but does not run: {found.detail}",
            Fix(manager.log, is_certain=False),
            Fix(" ".join(manager.install[-1]), is_certain=False),
        )
