"""The one way commands enter, and the one place the status is read. Knows no HTTP and no engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from liveedit_cam.daemon.ledger import EditLedger
from liveedit_cam.daemon.mailbox import FrameInbox, Latest
from liveedit_cam.daemon.recording import Recorder
from liveedit_cam.daemon.run import Run
from liveedit_cam.limits import (
    checked_region,
    checked_seed,
    checked_strength,
    checked_transition,
)
from liveedit_cam.prompt import checked_prompt
from liveedit_cam.types import (
    Choice,
    EditInstruction,
    Fit,
    Frame,
    LatencyMode,
    Mode,
    OnFailure,
    Region,
    Settled,
    State,
    Status,
)

HOLDING_S = 1.0
"""Without an edited frame for longer than this the state is HOLDING."""


class Controller:
    """Commands and snapshots. Any thread may call any method."""

    def __init__(
        self,
        ledger: EditLedger,
        run: Run,
        inbox: FrameInbox,
        shown: Latest[Frame],
        *,
        looked: Callable[[], None] = lambda: None,
        recorder: Recorder,
        choose: Callable[[Choice, str, bool], str],
    ) -> None:
        """Uptime counts from here.

        ``looked`` hears of each picture that is asked for, and of each instruction. ``choose`` is
        that of the Switchboard; its last argument is whether it is a trial.
        """
        self._ledger = ledger
        self._board, self._metrics, self._now = run.board, run.metrics, run.now
        self._inbox = inbox
        self._shown = shown
        self._looked = looked
        self._recorder = recorder
        self._choose = choose
        self._started_at = run.now()

    def instruct(
        self,
        prompt: str,
        *,
        strength: float = 1.0,
        region: Region | None = None,
        seed: int = 0,
        origin: str = "cli",
        transition_s: float = 0.0,
    ) -> EditInstruction:
        """Accept an instruction; it replaces one that still waits. Answers at once.

        ``strength`` 0..1; ``region`` None = everywhere; ``transition_s`` up to 10. Raises
        InstructionError.
        """
        instruction = EditInstruction(
            prompt=checked_prompt(prompt),
            strength=checked_strength(strength),
            region=checked_region(region),
            seed=checked_seed(seed),
            transition_s=checked_transition(transition_s),
            origin=origin,
        )
        self._looked()
        return self._ledger.accept(instruction)

    def prepare(self, prompt: str) -> None:
        """Have the engine encode a prompt that may be given soon. Raises InstructionError."""
        self._ledger.prepare(checked_prompt(prompt))

    def unknown_words(self, prompt: str) -> tuple[str, ...] | None:
        """Words of a prompt that the editor does not know. Raises InstructionError.

        None = it has not said yet; it is asked, once for each call.
        """
        prompt = checked_prompt(prompt)
        found = self._ledger.unknown_words(prompt)
        if found is None:
            self._ledger.prepare(prompt)
        return found

    def set_mode(self, mode: Mode) -> None:
        """Switch what the sinks show, from the next picture on."""
        self._board.update(mode=mode)

    def set_latency(self, latency: LatencyMode) -> None:
        """Edit every frame at once, or let each wait for its own field."""
        self._board.update(latency=latency)

    def set_on_failure(self, rule: OnFailure) -> None:
        """Choose what is shown while there is no edited picture."""
        self._board.update(on_failure=rule)

    def set_picture(self, fit: Fit | None = None, mirror: bool | None = None) -> None:
        """How the source's picture gets the sinks' shape; None leaves it as it is."""
        found = self._board.status()
        self._board.update(
            fit=found.fit if fit is None else fit,
            mirror=found.mirror if mirror is None else mirror,
        )

    def choose(self, what: Choice, value: str, *, is_trial: bool) -> str:
        """Try another source, output, model or number of steps; unless a trial, put it in force.

        Its name for people. Raises LiveEditError with why it cannot be used.
        """
        self._looked()
        return self._choose(what, value, is_trial)

    def start_recording(
        self,
        path: Path | None = None,
        *,
        with_source: bool = False,
        has_badge: bool = False,
        microphone: str | None = None,
    ) -> Path:
        """Record beside the run; the file it goes to. Raises ControlError, UsageError, DeviceError.

        ``path`` None = named by the date. ``with_source``: also the camera's own picture.
        ``has_badge``: edited pictures say so in a corner. ``microphone``: part of the name of the
        one whose sound is in it, "" = the system's own choice; None = no sound.
        """
        return self._recorder.start(
            path, with_source=with_source, has_badge=has_badge, microphone=microphone
        )

    def stop_recording(self) -> tuple[Path, ...]:
        """End the recording; its files. Raises ControlError, SinkError."""
        return self._recorder.stop()

    def note_obs(self, state: str, detail: str | None) -> None:
        """Put where the connection to OBS stands into the status."""
        self._board.update(obs=state, obs_detail=detail)

    def status(self) -> Status:
        """One snapshot of the whole program."""
        now = self._now()
        status = self._metrics.snapshot(now, self._ledger.view(self._board.status()))
        is_live = status.state is State.LIVE
        is_holding = is_live and self._metrics.since_edit_s(now) > HOLDING_S
        return replace(
            status,
            state=State.HOLDING if is_holding else status.state,
            frames_skipped=self._inbox.num_dropped,
            uptime_s=now - self._started_at,
        )

    def shown(self) -> Frame | None:
        """The frame written to the sinks last; None before the first."""
        self._looked()
        return self._shown.get()

    def wait_settled(self, revision: int, timeout_s: float) -> Settled:
        """Block until this revision is visible or refused, up to ``timeout_s`` seconds.

        Raises ControlError for a revision that is not known.
        """
        return self._ledger.wait_settled(revision, timeout_s)

    def wait_visible(self, revision: int, timeout_s: float) -> float:
        """Block until this revision or a newer one was written to the sinks.

        Returns the seconds from its acceptance until then. Raises InstructionError where the
        engine refused it, ControlError where it did not become visible in ``timeout_s`` seconds.
        """
        return self._ledger.wait_visible(revision, timeout_s)
