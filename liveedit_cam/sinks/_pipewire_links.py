"""Who is linked to a node of PipeWire, by what ``pw-dump --monitor`` prints. Starts nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from threading import Lock
from typing import Any

_MAX_CHARS = 1 << 24
"""Of one list of objects; a whole desktop takes a twentieth."""


class Links:
    """Kept up to date by one thread with ``feed``; asked by any. Lock: ``_lock``."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._text: list[str] = []
        self._num_chars = 0
        self._names: dict[int, str] = {}
        self._sources: dict[int, int] = {}  # link -> the node its pictures come from

    def feed(self, line: str) -> None:
        """Take one line; a list of objects ends with a line that is its bracket alone."""
        self._text.append(line)
        self._num_chars += len(line)
        if line.rstrip() in ("]", "[]") or self._num_chars > _MAX_CHARS:
            text, self._text, self._num_chars = "".join(self._text), [], 0
            with self._lock:
                for one in _objects(text):
                    self._note(one)

    def num_readers(self, name: str) -> int:
        """How many links lead away from the node of that name."""
        with self._lock:
            ids = {number for number, found in self._names.items() if found == name}
            return sum(source in ids for source in self._sources.values())

    def _note(self, one: dict[str, Any]) -> None:
        number, info = one.get("id"), one.get("info")
        if not isinstance(number, int):
            return
        if not isinstance(info, dict):  # it is gone
            self._names.pop(number, None)
            self._sources.pop(number, None)
            return
        name = (info.get("props") or {}).get("node.name")
        if one.get("type", "").endswith(":Node") and isinstance(name, str):
            self._names[number] = name
        elif isinstance(info.get("output-node-id"), int):
            self._sources[number] = info["output-node-id"]


def _objects(text: str) -> Iterator[dict[str, Any]]:
    try:
        found = json.loads(text)
    except ValueError:  # cut short: the next list tells the rest
        return
    yield from (one for one in found if isinstance(one, dict))
