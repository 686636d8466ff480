"""Presets in force, encoded ahead, and by rules of OBS."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from liveedit_cam.presets import Preset, PresetBook, apply
from liveedit_cam.presets.ahead import Ahead
from liveedit_cam.types import EditInstruction, LatencyMode, Mode, OnFailure, Region


@dataclass
class Commands:
    """Notes what it was told, in order."""

    told: list[object] = field(default_factory=list)

    def instruct(
        self,
        prompt: str,
        *,
        strength: float,
        region: Region | None,
        seed: int,
        origin: str,
        transition_s: float,
    ) -> EditInstruction:
        given = EditInstruction(
            prompt, strength, region, seed, origin, revision=3, transition_s=transition_s
        )
        self.told.append(given)
        return given

    def set_mode(self, mode: Mode) -> None:
        self.told.append(mode)

    def set_latency(self, latency: LatencyMode) -> None:
        self.told.append(latency)

    def set_on_failure(self, rule: OnFailure) -> None:
        self.told.append(rule)


def test_all_of_a_preset_is_put_into_force_the_mode_first() -> None:
    """Catches a camera that is shown for a moment before the card, and a field that is left out."""
    commands = Commands()
    left = Region(0, 0, 0.5, 1)
    raw = OnFailure.RAW
    preset = Preset("p", "make it night", 0.5, left, Mode.EDIT, LatencyMode.EXACT, raw, 2.0)
    assert apply(preset, commands, "web").revision == 3
    assert commands.told == [
        Mode.EDIT,
        LatencyMode.EXACT,
        OnFailure.RAW,
        EditInstruction("make it night", 0.5, left, 0, "web:p", revision=3, transition_s=2.0),
    ]


def test_a_preset_of_a_mode_alone_leaves_the_edit_as_it_is() -> None:
    """Catches a "pause" that also changes the instruction."""
    commands = Commands()
    assert apply(Preset("pause", mode=Mode.SLATE), commands, "web").revision is None
    assert commands.told == [Mode.SLATE]


def test_presets_are_encoded_one_at_a_time_until_all_are(tmp_path: Path) -> None:
    """Catches presets that replace each other while they wait: only the last would be ready."""
    asked: list[str] = []
    ready: set[str] = set()

    class Engine:
        presets = PresetBook(tmp_path / "presets.toml")

        def unknown_words(self, prompt: str) -> tuple[str, ...] | None:
            if prompt in ready:
                return ()
            asked.append(prompt)
            ready.add(prompt)
            return None

    ahead = Ahead(Engine())
    for number in range(10):
        ahead.poll()
        assert len(asked) == min(number + 1, 8)
    assert asked == [preset.edit for preset in Engine.presets.shelf().presets]
