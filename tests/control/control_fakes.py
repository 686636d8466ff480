"""A Controller that remembers what it was told, for the tests of the control plane."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from liveedit_cam.errors import ControlError, InstructionError
from liveedit_cam.types import EditInstruction, Latency, Mode, Region, State, Status

STATUS = Status(
    state=State.LIVE,
    mode=Mode.EDIT,
    instruction="make it night",
    revision=3,
    notice='the model does not know "galaxy"',
    source="pattern",
    sinks=("memory", "preview"),
    preview_url="http://127.0.0.1:8643/?key=k",
    model="nano",
    device="cpu",
    capture_fps=30.0,
    chunk_latency=Latency(120.0, 150.0),
    glass_to_sink=Latency(310.0, 360.0),
    cache_skip=0.43,
)


@dataclass
class FakeController:
    """Accepts every prompt but "refuse me"; revision 7 is visible after 0.42 s, 8 never is."""

    found: Status = STATUS
    instructions: list[EditInstruction] = field(default_factory=list)

    def instruct(
        self, prompt: str, *, strength: float, region: Region | None, seed: int, origin: str
    ) -> EditInstruction:
        if prompt == "refuse me":
            raise InstructionError("Got a prompt to refuse.", hint="Write another.")
        if prompt == "break":
            raise RuntimeError("a defect in the daemon")
        instruction = EditInstruction(prompt, strength, region, seed, origin, revision=7)
        self.instructions.append(instruction)
        self.found = replace(self.found, instruction=prompt, revision=7)
        return instruction

    def set_mode(self, mode: Mode) -> None:
        self.found = replace(self.found, mode=mode)

    def status(self) -> Status:
        return self.found

    def wait_visible(self, revision: int, timeout_s: float) -> float:
        if revision == 7:
            return 0.42
        if revision == 9:
            raise InstructionError("The model refused instruction 9.")
        raise ControlError(f"Instruction {revision} was not visible.", hint="Look at the status.")
