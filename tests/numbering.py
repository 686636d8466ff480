"""A Controller for what steers from elsewhere: MIDI, OSC."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from liveedit_cam.presets import Applied, PresetBook, apply
from liveedit_cam.types import EditInstruction, LatencyMode, Mode, OnFailure, Region, Status


class NumberingController:
    """Numbers its instructions and keeps them."""

    def __init__(self) -> None:
        self.presets = PresetBook(Path("/nowhere/presets.toml"))
        self.found = Status(instruction="golden light", region=Region(0, 0, 0.5, 1))
        self.given: list[EditInstruction] = []

    def instruct(
        self,
        prompt: str,
        *,
        strength: float,
        region: Region | None,
        seed: int,
        origin: str,
        transition_s: float = 0.0,
    ) -> EditInstruction:
        revision = len(self.given) + 1
        self.found = replace(self.found, pending_revision=revision)
        self.given.append(EditInstruction(prompt, strength, region, seed, origin, 0.0, revision))
        return self.given[-1]

    def apply_preset(self, name: str, origin: str) -> Applied:
        return apply(self.presets.find(name), self, origin)

    def set_mode(self, mode: Mode) -> None:
        self.found = replace(self.found, mode=mode)

    def set_latency(self, latency: LatencyMode) -> None:
        self.found = replace(self.found, latency=latency)

    def set_on_failure(self, rule: OnFailure) -> None:
        self.found = replace(self.found, on_failure=rule)

    def start_recording(self, path: Path | None, *, with_source: bool, has_badge: bool) -> Path:
        self.found = replace(self.found, recording="/videos/show.mp4")
        return Path("/videos/show.mp4")

    def stop_recording(self) -> tuple[Path, ...]:
        self.found = replace(self.found, recording=None)
        return ()

    def status(self) -> Status:
        return self.found
