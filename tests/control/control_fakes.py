"""A Controller that remembers what it was told, and a daemon served for the tests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from liveedit_cam.errors import ControlError, DeviceError, InstructionError, SourceError
from liveedit_cam.presets import Applied, PresetBook, apply
from liveedit_cam.prompt import checked_prompt
from liveedit_cam.types import (
    Choice,
    EditInstruction,
    Fit,
    Frame,
    Latency,
    LatencyMode,
    Mode,
    OnFailure,
    Region,
    Settled,
    State,
    Status,
)

STATUS = Status(
    state=State.LIVE,
    mode=Mode.EDIT,
    instruction="make it night",
    revision=3,
    notice='the model does not know "galaxy"',
    source="pattern",
    sinks=("memory", "preview"),
    preview_url="http://127.0.0.1:8642/#key=k",
    model="nano",
    device="cpu",
    capture_fps=30.0,
    chunk_latency=Latency(120.0, 150.0),
    glass_to_sink=Latency(310.0, 360.0),
    cache_skip=0.43,
)


@dataclass
class FakeController:
    """Accepts every prompt but "refuse me"; revision 7 is visible after 0.42 s, 8 never is.

    9 was refused by the engine, and 10 is encoded and not visible. It also has what the daemon's
    Controller has for a whole run.
    """

    found: Status = STATUS
    instructions: list[EditInstruction] = field(default_factory=list)
    frame: Frame | None = None
    presets: PresetBook = field(default_factory=lambda: PresetBook(Path("/nowhere/presets.toml")))
    recordings: list[tuple[Path, bool, bool, str | None]] = field(default_factory=list)
    chosen: list[tuple[Choice, str, bool]] = field(default_factory=list)
    num_looks: int = 0
    """How often somebody asked what became of an instruction."""

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
        if prompt == "refuse me":
            raise InstructionError("Got a prompt to refuse.", hint="Write another.")
        if prompt == "break":
            raise RuntimeError("a defect in the daemon")
        instruction = EditInstruction(
            prompt, strength, region, seed, origin, revision=7, transition_s=transition_s
        )
        self.instructions.append(instruction)
        self.found = replace(self.found, instruction=prompt, revision=7)
        return instruction

    def apply_preset(self, name: str, origin: str) -> Applied:
        return apply(self.presets.find(name), self, origin)

    def unknown_words(self, prompt: str) -> tuple[str, ...] | None:
        return tuple(word for word in checked_prompt(prompt).split() if word == "galaxy")

    def prepare(self, prompt: str) -> None:
        """Nothing is encoded here."""

    def set_mode(self, mode: Mode) -> None:
        self.found = replace(self.found, mode=mode)

    def set_latency(self, latency: LatencyMode) -> None:
        self.found = replace(self.found, latency=latency)

    def set_on_failure(self, rule: OnFailure) -> None:
        self.found = replace(self.found, on_failure=rule)

    def set_picture(self, fit: Fit | None, mirror: bool | None) -> None:
        self.found = replace(
            self.found,
            fit=self.found.fit if fit is None else fit,
            mirror=self.found.mirror if mirror is None else mirror,
        )

    def choose(self, what: Choice, value: str, *, is_trial: bool) -> str:
        if value == "camera:9":
            raise SourceError("There is no camera 9.", hint="Plug it in.")
        self.chosen.append((what, value, is_trial))
        return f"{value}, tried"

    def choices(self) -> dict[Choice, list[tuple[str, str]]]:
        return {
            Choice.SOURCE: [("camera:0", "HD Webcam"), ("camera:9", "gone"), ("pattern", "drawn")],
            Choice.SINK: [("preview", "this page alone")],
            Choice.MODEL: [("nano", "small")],
            Choice.STEPS: [("auto", "as many as fit"), ("2", "")],
        }

    def start_recording(
        self,
        path: Path | None,
        *,
        with_source: bool,
        has_badge: bool,
        microphone: str | None = None,
    ) -> Path:
        if self.found.recording is not None:
            raise ControlError("A recording runs already.", hint="End it first.")
        if microphone == "gone":
            raise DeviceError("There is no microphone 'gone'; there are: none.")
        path = path or Path("/videos/show.mp4")
        self.recordings.append((path, with_source, has_badge, microphone))
        self.found = replace(self.found, recording=str(path), recorded_s=0.0)
        return path

    def stop_recording(self) -> tuple[Path, ...]:
        if self.found.recording is None:
            raise ControlError("No recording runs.")
        path = Path(self.found.recording)
        self.found = replace(self.found, recording=None, recorded_s=2.5)
        return (path, path.with_suffix(".json"))

    def note_obs(self, state: str, detail: str | None) -> None:
        self.found = replace(self.found, obs=state, obs_detail=detail)

    def status(self) -> Status:
        return self.found

    def shown(self) -> Frame | None:
        return self.frame

    def wait_settled(self, revision: int, timeout_s: float) -> Settled:
        self.num_looks += 1
        assert timeout_s == 0, "a request must not hold a thread"
        known = {
            7: Settled(7, 0.1, 0.42, None, 'the model does not know "galaxy"', None),
            8: Settled(8, None, None, None, None, None),
            9: Settled(9, None, None, "The model refused instruction 9.", None, None),
            10: Settled(10, 0.1, None, None, "no galaxies", None),
        }
        if revision not in known:
            raise ControlError(f"Got revision {revision}.", hint="Use one that was answered.")
        return known[revision]

    def wait_visible(self, revision: int, timeout_s: float) -> float:
        found = self.wait_settled(revision, 0.0)
        if found.refused is not None:
            raise InstructionError(found.refused)
        if found.visible_s is None:
            raise ControlError(f"Instruction {revision} was not visible.")
        return found.visible_s
