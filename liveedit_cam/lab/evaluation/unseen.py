"""Wordings that never took part in training: how well is a user's own sentence understood?

They stand in ``unseen.toml``. None of them can come out of the grammar (a test proves it); the
words are mostly known ones in other orders, with other verbs and fillers, as people write.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from liveedit_cam.lab.edits.spec import RGB, EditSpec, Family, Scope, Side
from liveedit_cam.lab.edits.wordings import COLOURS


def _colour(name: str | None) -> RGB | None:
    return None if name is None else COLOURS[name]


def _spec(values: Mapping[str, Any]) -> EditSpec:
    return EditSpec(
        Family(values["family"]),
        Scope(values.get("scope", Scope.WHOLE)),
        colour=_colour(values.get("colour")),
        from_colour=values.get("from_colour"),
        second_colour=_colour(values.get("second_colour")),
        side=Side(values["side"]) if "side" in values else None,
        strength=values.get("strength", 1.0),
        then=_spec(values["then"]) if "then" in values else None,
    )


_FILE = tomllib.loads(Path(__file__).with_name("unseen.toml").read_text("utf-8"))
UNSEEN = tuple((values["text"], _spec(values)) for values in _FILE["wordings"])
"""Wording and what it asks."""
