"""A tiny model on the fake hub, and its pull."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from fake_hub import FakeHub
from tiny_model import TINY, tiny_dit

from liveedit_cam.model.wan.checkpoint import convert
from liveedit_cam.store.catalogue import ModelEntry, ModelFile, Part, Role
from liveedit_cam.store.hub import Hub
from liveedit_cam.store.pull import Plan, make_plan, pull
from liveedit_cam.store.receipt import Receipt

EDITOR, BASE, EXTRA = "maker/editor", "maker/base", "other/extra"
CHECKPOINT, SHARD, SETTINGS = "weights.pt", "text_encoder/shard.safetensors", "vae/config.json"

ENTRY = ModelEntry(
    "tiny",
    "a model for tests",
    (
        Part(
            Role.EDITOR,
            "the editor",
            EDITOR,
            "main",
            "Apache-2.0",
            (ModelFile("source/weights.pt", CHECKPOINT),),
            num_parameters=100,
            converted="model.safetensors",
        ),
        Part(
            Role.TEXT,
            "the base",
            BASE,
            "main",
            "MIT",
            (ModelFile("text/shard.safetensors", SHARD), ModelFile("vae/config.json", SETTINGS)),
        ),
    ),
)
EXTRA_PART = Part(
    Role.LIGHT_CODEC, "an extra", EXTRA, "main", "MIT", (ModelFile("x.bin", "x.bin"),),
    is_optional=True,
)  # fmt: skip
SHARD_CONTENT = bytes(range(256)) * 64


def checkpoint_bytes(seed: int = 0) -> bytes:
    """A released checkpoint as torch writes it."""
    file = io.BytesIO()
    torch.save({"generator": tiny_dit(seed=seed).state_dict()}, file)
    return file.getvalue()


def fill(server: FakeHub) -> None:
    """Put all files of ENTRY on the hub."""
    server.store(EDITOR, CHECKPOINT, checkpoint_bytes())
    server.store(BASE, SHARD, SHARD_CONTENT)
    server.store(BASE, SETTINGS, b'{"z_dim": 16}')


def with_file(part: int, **changes: object) -> ModelEntry:
    """ENTRY with changes to the first file of a part."""
    found = ENTRY.parts[part]
    files = (replace(found.files[0], **changes), *found.files[1:])
    parts = list(ENTRY.parts)
    parts[part] = replace(found, files=files)
    return replace(ENTRY, parts=tuple(parts))


@dataclass(slots=True)
class Puller:
    """Pulls into one folder as often as asked; notes what was reported and every pause."""

    server: FakeHub
    folder: Path
    entry: ModelEntry = ENTRY
    timeout_s: float = 5.0
    reports: list[tuple[str, int, int | None]] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    on_report: Callable[[str, int], None] = lambda label, done: None

    @property
    def hub(self) -> Hub:
        """The hub as the program talks to it."""
        return Hub(self.server.url, timeout_s=self.timeout_s)

    def plan(self) -> Plan:
        """What a pull would do."""
        return make_plan(self.entry, TINY, self.folder, self.hub)

    def pull(self, *, ema: bool = False) -> Receipt:
        """Plan and pull."""
        plan = self.plan()
        return pull(plan, self.hub, convert, self._note, ema=ema, pause=self.pauses.append)

    def _note(self, label: str, done: int, total: int | None) -> None:
        self.reports.append((label, done, total))
        self.on_report(label, done)
