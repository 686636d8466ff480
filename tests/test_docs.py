"""What the pages name is there: tests that hold a promise, files that are pointed to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


def test_every_test_that_a_page_names_exists() -> None:
    """Catches a promise whose test was renamed or went."""
    named = re.findall(r"(tests/[\w/]+\.py)::(\w+)", (ROOT / "docs/reliability.md").read_text())
    assert len(named) >= 12
    missing = [
        f"{file}::{name}" for file, name in named if f"def {name}(" not in (ROOT / file).read_text()
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_points_to_exists(page: Path) -> None:
    """Catches a link to a page or picture that moved."""
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []
