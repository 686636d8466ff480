"""How a preset is put into force, mode first, instruction last; and a new strength."""

from __future__ import annotations

from liveedit_cam.errors import InstructionError
from liveedit_cam.presets.commands import Steering
from liveedit_cam.presets.table import Applied, Preset
from liveedit_cam.types import EditInstruction


def apply(preset: Preset, commands: Steering, origin: str) -> Applied:
    """Put a preset into force; the mode first, it may hide the camera. Raises InstructionError."""
    if preset.mode is not None:
        commands.set_mode(preset.mode)
    if preset.latency is not None:
        commands.set_latency(preset.latency)
    if preset.on_failure is not None:
        commands.set_on_failure(preset.on_failure)
    if preset.edit is None:
        return Applied(preset.name, None)
    accepted = commands.instruct(
        preset.edit,
        strength=preset.strength,
        region=preset.region,
        seed=0,
        origin=f"{origin}:{preset.name}",
        transition_s=preset.transition_s,
    )
    return Applied(preset.name, accepted.revision)


def change_strength(commands: Steering, strength: float, origin: str) -> EditInstruction:
    """Give the newest instruction again, all else as it was. Raises InstructionError."""
    status = commands.status()
    prompt = status.pending or status.instruction
    if prompt is None:
        raise InstructionError(
            "Got a strength, expected an instruction that has one; none was given yet.",
            hint="Give an instruction first; in a rule of OBS, add an edit.",
        )
    return commands.instruct(
        prompt, strength=strength, region=status.region, seed=status.seed, origin=origin
    )
