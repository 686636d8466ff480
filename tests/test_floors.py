"""The oldest versions that pyproject.toml permits are those that were tried."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
NOT_TRIED = {"torch", "cv2-enumerate-cameras"}
"""torch was tried at 2.13 alone; the other is for Windows and macOS."""


def test_every_floor_is_in_the_constraints() -> None:
    """Catches a floor that was written without trying it, and one raised on one side only."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    floors = dict(re.findall(r"^([\w-]+)>=([\d.]+)", "\n".join(project["dependencies"]), re.M))
    text = (ROOT / "constraints/oldest.txt").read_text("utf-8")
    tried = dict(re.findall(r"^([\w-]+)==([\d.]+)$", text, re.M))
    assert set(floors) - NOT_TRIED == set(tried)
    different = {
        name: (floors[name], version)
        for name, version in tried.items()
        if numbers(floors[name]) != numbers(version)
    }
    assert different == {}


def numbers(version: str) -> list[int]:
    """Without zeros at the end: 2.7 is 2.7.0."""
    found = [int(part) for part in version.split(".")]
    while found and found[-1] == 0:
        found.pop()
    return found
