"""The nodes of PipeWire and who is linked to them, by what pw-dump prints. Starts nothing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from threading import Lock
from typing import Any

_CAMERA = "Video/Source"
_MAX_CHARS = 1 << 24
"""Of one list of objects; a whole desktop takes a twentieth."""


def objects(text: str) -> Iterator[dict[str, Any]]:
    """The objects of all lists in ``text``: what changes meanwhile is printed in another list.

    Raises ValueError where there is no list, or something else.
    """
    rest = text.strip()
    while True:
        found, end = json.JSONDecoder().raw_decode(rest)
        if not isinstance(found, list) or not all(map(_is_object, found)):
            raise ValueError("expected a list of objects, each with its number")
        yield from found
        rest = rest[end:].lstrip()
        if not rest:
            return


class Links:
    """Kept up to date by one thread with ``feed``; asked by any. Lock: ``_lock``."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._text: list[str] = []
        self._num_chars = 0
        self._nodes: dict[int, dict[str, Any]] = {}  # properties of those that have a name
        self._sources: dict[int, int] = {}  # link -> the node its pictures come from

    def feed(self, line: str) -> None:
        """Take one line; a list of objects ends with a line that is its bracket alone."""
        self._text.append(line)
        self._num_chars += len(line)
        if line.rstrip() in ("]", "[]") or self._num_chars > _MAX_CHARS:
            text, self._text, self._num_chars = "".join(self._text), [], 0
            with contextlib.suppress(ValueError):  # cut short: the next list tells the rest
                self.take(text)

    def take(self, text: str) -> None:
        """Take whole lists of objects. Raises ValueError where it is something else."""
        with self._lock:
            for one in objects(text):
                self._note(one)

    def cameras(self) -> frozenset[str]:
        """Names of the nodes of the class Video/Source."""
        with self._lock:
            nodes = self._nodes.values()
            return frozenset(
                node["node.name"] for node in nodes if node.get("media.class") == _CAMERA
            )

    def num_readers(self, name: str) -> int:
        """How many links lead away from the node of that name."""
        with self._lock:
            ids = {number for number, node in self._nodes.items() if node["node.name"] == name}
            return sum(source in ids for source in self._sources.values())

    def _note(self, one: dict[str, Any]) -> None:
        number, info = one["id"], one.get("info")
        if not isinstance(info, dict):  # it is gone
            self._nodes.pop(number, None)
            self._sources.pop(number, None)
            return
        properties = info.get("props") or {}
        if str(one.get("type")).endswith(":Node") and isinstance(properties.get("node.name"), str):
            self._nodes[number] = properties
        elif isinstance(info.get("output-node-id"), int):
            self._sources[number] = info["output-node-id"]


def _is_object(one: object) -> bool:
    return isinstance(one, dict) and isinstance(one.get("id"), int)
