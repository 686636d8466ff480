"""docs/settings.md says what the Config is."""

from __future__ import annotations

import runpy
import tomllib
from pathlib import Path

from liveedit_cam.config import Config

ROOT = Path(__file__).parent.parent


def test_the_page_is_that_of_this_config() -> None:
    """Catches a setting, default or option that was changed without its page."""
    written = runpy.run_path(str(ROOT / "scripts/settings_page.py"))["page"]()
    assert (ROOT / "docs/settings.md").read_text("utf-8") == written, (
        "run: PYTHONPATH=. python scripts/settings_page.py"
    )


def test_every_default_on_it_can_be_written_into_a_file() -> None:
    """Catches a default shown as Python writes it, which TOML refuses."""
    text = (ROOT / "docs/settings.md").read_text("utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == len(Config.model_fields)
    lines = [f"{row[0].strip('|` ')} = {row[1].strip('`')}" for row in rows if row[1][0] == "`"]
    assert Config.model_validate(tomllib.loads("\n".join(lines))) == Config()
