"""nano, made to take a second for a chunk: how the picture fares with a model that slow."""

from __future__ import annotations

import time
from collections.abc import Sequence

from liveedit_cam.editors import diffusion
from liveedit_cam.protocols import Conditioning, EditorOptions
from liveedit_cam.types import EditField, ModelFrame

CHUNK_S = 1.0


class SlowEditor(diffusion.DiffusionEditor):
    """Sleeps for what is left of a second."""

    def edit(
        self, frames: Sequence[ModelFrame], conditioning: Conditioning, *, every_frame: bool
    ) -> list[EditField]:
        """As its parent, later."""
        ends_at = time.monotonic() + CHUNK_S
        fields = super().edit(frames, conditioning, every_frame=every_frame)
        time.sleep(max(0.0, ends_at - time.monotonic()))
        return fields


def create(options: EditorOptions) -> SlowEditor:
    """As the diffusion editor's."""
    return SlowEditor(diffusion.load(options.model, options.device), options)
