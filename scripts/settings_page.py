#!/usr/bin/env python3
"""Write docs/settings.md from the Config itself: scripts/settings_page.py; a test compares them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

from pydantic.fields import FieldInfo

from liveedit_cam.commands.run import run
from liveedit_cam.config import PREFIX, Config

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"
FLAGS = {"sinks": "sink"}
"""Settings whose option has another name than the setting."""

HEAD = f"""\
# Settings

Written by `scripts/settings_page.py` from `liveedit_cam/config.py`; change them there.

A setting is looked for in three places; a later one wins:

1. the TOML file named with `--config`, else `config.toml` in `~/.config/liveedit-cam` (Linux),
   `~/Library/Application Support/liveedit-cam` (macOS), `%APPDATA%\\liveedit-cam` (Windows)
2. variables: `{PREFIX}` and the name in capitals, such as `{PREFIX}FPS=20`; several sinks
   are separated by commas
3. options of `run`, `start` and `service install`

A name that nobody knows, and a value that cannot be, is an error with its place in any of them. A
file looks like this:

```toml
prompt = "make the background blue"
sinks = ["virtual-camera", "file:call.mp4"]
max_field_age_ms = 400
```

| setting | default | what it is | option of `run` |
|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    return HEAD + "".join(f"{row}\n" for row in rows())


def rows() -> Iterator[str]:
    """One row of the table for each setting, in the order of the Config."""
    options = set(inspect.signature(run).parameters)
    for name, field in Config.model_fields.items():
        flag = FLAGS.get(name, name)
        option = f"`--{flag.replace('_', '-')}`" if name in options else "file or variable only"
        if name == "prompt":
            option = "the words themselves"
        if name == "loop":
            option = "`--loop`, `--once`"
        meaning = (field.description or "").replace("|", "\\|").replace("\n", " ")
        yield f"| `{name}` | {default(field)} | {meaning} | {option} |"


def default(field: FieldInfo) -> str:
    """The default as it would stand in the file."""
    value = field.default
    if value is None:
        return "left out"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, tuple):
        return f"`[{', '.join(quoted(one) for one in value)}]`"
    return f"`{quoted(value) if isinstance(value, str) else value}`"


def quoted(text: object) -> str:
    """As TOML writes a text."""
    return f'"{text}"'


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
