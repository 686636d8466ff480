"""An editor on another computer behind the Editor seam, and a local one for when it is away.

Small frames go out, edit fields come back; no full-size picture leaves. An answer that does not
come in time costs the link, not the picture: frames are edited here until the server is back and
has answered once. Who edits changes between two chunks only.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from liveedit_cam.editors import diffusion
from liveedit_cam.errors import EditorError, InstructionError
from liveedit_cam.model.field import Change, bind
from liveedit_cam.model.governor import AgeWatch
from liveedit_cam.pixels import jpeg, shrink
from liveedit_cam.protocols import Conditioning, Editor, EditorOptions, EditorReport
from liveedit_cam.remote.address import parse_address
from liveedit_cam.remote.flight import Asked, Flight, Landed
from liveedit_cam.remote.keeper import LinkKeeper
from liveedit_cam.remote.link import Link, LinkLost, connect
from liveedit_cam.remote.messages import (
    Edit,
    Edited,
    Encode,
    Encoded,
    Failed,
    Instruction,
    Rectangle,
    Rejected,
    Size,
    WireError,
)
from liveedit_cam.remote.planes import unpacked
from liveedit_cam.remote.quality import JpegQuality, PictureSize
from liveedit_cam.types import EditField, EditInstruction, ModelFrame, ModelSize

TRIAL_S = 120.0
"""The first answer may take longer: a server compiles for the shape of the pictures."""
ENCODE_S = 20.0
"""Longest wait for what the server says of an instruction; it is used from the next chunk on."""
MAX_FAILURES = 3
"""Edits in a row that fail there before the link is given up and made anew."""

_UNUSABLE = object()
"""Payload of an instruction that the local model refused and the server took."""

_log = logging.getLogger(__name__)


def describe() -> str:
    """One line of help."""
    return "remote: a model on another computer; its target is ws:// or wss://HOST:PORT[/MODEL]"


def create(options: EditorOptions) -> RemoteEditor:
    """Begin to connect, and load the local model meanwhile. Raises UsageError, WeightsError."""
    address = parse_address(options.target)
    keeper = LinkKeeper(partial(connect, address, options.token or "", options.certificate))
    keeper.start()
    try:
        local = diffusion.create(replace(options, target=""))
    except BaseException:
        keeper.close()
        raise
    return RemoteEditor(local, keeper, address.host, options.max_field_age_s)


class RemoteEditor:
    """Two editors, one of them far away. Edits in one thread, encodes in another.

    A LateEditor: ``edit`` sends its frames and gives back the newest field that has come, which
    may be of a chunk before. Where every frame is wanted it waits for theirs.
    """

    may_be_late = True

    def __init__(
        self,
        local: Editor,
        keeper: LinkKeeper,
        host: str,
        max_field_age_s: float | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``local`` edits while ``keeper`` has no proven link; ``host`` is for people.

        Where fields get older than ``max_field_age_s`` (None = they may) smaller pictures are sent.
        """
        self._local, self._keeper, self._host, self._now = local, keeper, host, now
        self._proven: Link | None = None
        self._flight = Flight(now)
        self._trial: Asked | None = None
        self._size: Size | None = None
        self._quality = JpegQuality()
        self._pictures = PictureSize(AgeWatch(max_field_age_s))
        self._was_here = self._is_new_stream = True
        self._num_failures = 0
        self._last: tuple[Asked, Edited] | None = None

    @property
    def name(self) -> str:
        """Of the model that edits now."""
        return self._local.name if self._proven is None else self._proven.welcome.model

    @property
    def chunk_frames(self) -> int:
        """Frames the next ``edit`` wants."""
        return self._local.chunk_frames if self._size is None else self._size.chunk_frames

    @property
    def size(self) -> ModelSize:
        """How large it wants them."""
        if self._size is None:
            return self._local.size
        return self._pictures.of(self._size.model_size)

    def encode(self, instruction: EditInstruction) -> Conditioning:
        """Ready here and, where there is a link, there; what is not understood is told of there."""
        refused: InstructionError | None = None
        try:
            here = self._local.encode(instruction)
        except InstructionError as error:
            refused, here = error, Conditioning(instruction, _UNUSABLE)
        there = self._encode_there(instruction)
        if there is None and refused is not None:
            raise refused
        return here if there is None else replace(here, notice=there.notice, unknown=there.unknown)

    def _encode_there(self, instruction: EditInstruction) -> Encoded | None:
        """The server's answer; None where there is none in time. Raises InstructionError."""
        link = self._keeper.link()
        if link is None:
            return None
        message = Encode(number=link.next_number(), instruction=Instruction.of(instruction))
        try:
            link.send(message)
            found = link.wait([message], ENCODE_S)
        except LinkLost:
            return None  # the edit will say so
        answer = None if found is None else found[0][0]
        if isinstance(answer, Rejected):
            raise InstructionError(answer.reason)
        return answer if isinstance(answer, Encoded) else None

    def edit(
        self, frames: Sequence[ModelFrame], conditioning: Conditioning, *, every_frame: bool
    ) -> list[EditField]:
        if self._proven is not None:
            fields = self._edit_there(self._proven, frames, conditioning, every_frame)
            if fields is not None:
                return fields
            if not self._can_edit_here(frames):
                said = self._keeper.reason
                raise EditorError(f"{self._host} did not edit this chunk ({said}).")
            return self._edit_here(frames, conditioning, every_frame)
        self._begin_trial(frames, conditioning)
        fields = self._edit_here(frames, conditioning, every_frame)
        self._end_trial()
        return fields

    def _edit_here(
        self, frames: Sequence[ModelFrame], conditioning: Conditioning, every_frame: bool
    ) -> list[EditField]:
        if conditioning.payload is _UNUSABLE:
            raise EditorError(
                "The local model cannot use this instruction, and the server is away.",
                hint="Give another one, or wait until the server is back.",
            )
        if not self._was_here:
            self._local.reset()  # it has not seen what the server has
        self._was_here = True
        return self._local.edit(frames, conditioning, every_frame=every_frame)

    def _can_edit_here(self, frames: Sequence[ModelFrame]) -> bool:
        """Whether the local model takes frames that were made for the server."""
        height, width = frames[0].pixels.shape[:2]
        return Size.of(self._local).takes(len(frames), width, height)

    def _edit_there(
        self,
        link: Link,
        frames: Sequence[ModelFrame],
        conditioning: Conditioning,
        every_frame: bool,
    ) -> list[EditField] | None:
        """None where it must be edited here; where the link is lost it is proven no more.

        [] while nothing has come and nothing is overdue.
        """
        flight = self._flight
        try:
            if has_left := every_frame or flight.may_leave(frames):
                flight.add(self._ask(link, frames, conditioning, every_frame))
            can_bridge = conditioning.payload is not _UNUSABLE and self._can_edit_here(frames)
            next_s = flight.next_s(frames, has_left=has_left, can_bridge=can_bridge)
            wait_s = flight.longest_s if every_frame else next_s
            landed = flight.wait(wait_s, is_last_wanted=every_frame)
            if landed is None:
                return self._silence(every_frame, can_bridge)
            if isinstance(landed.answer, Failed):
                self._note_failure(link, landed.answer)
                return None
            change = change_of(landed.answer, landed.blobs, landed.asked)
        except (LinkLost, WireError) as error:
            self._give_up(link, error)
            return None
        self._note_answer(landed, landed.answer)
        return bind(change, landed.asked.frames, landed.asked.message.instruction.revision)

    def _silence(self, every_frame: bool, can_bridge: bool) -> list[EditField] | None:
        """Nothing came: LinkLost, or None where this computer should edit until something does."""
        silent_s, longest_s = self._flight.silent_s, self._flight.longest_s
        if every_frame or silent_s > longest_s:
            raise LinkLost(f"no answer for {longest_s:.1f} s")
        return None if can_bridge and silent_s > self._flight.bridge_s else []

    def _ask(
        self,
        link: Link,
        frames: Sequence[ModelFrame],
        conditioning: Conditioning,
        every_frame: bool,
    ) -> Asked:
        """Send the chunk. Raises LinkLost."""
        height, width = frames[0].pixels.shape[:2]
        message = Edit(
            number=link.next_number(),
            instruction=Instruction.of(conditioning.instruction),
            width=width,
            height=height,
            part=Rectangle.of(frames[0].part),
            every_frame=every_frame,
            is_new_stream=self._is_new_stream,
        )
        asked = Asked(link, message, tuple(frames), self._now())
        link.send(message, [jpeg(frame.pixels, self._quality.level) for frame in frames])
        self._is_new_stream = False
        return asked

    def _note_answer(self, landed: Landed, answer: Edited) -> None:
        away_s = landed.took_s - answer.server_s - landed.asked.link.round_trip_s
        self._quality.took(away_s)
        self._num_failures = 0
        self._was_here = False
        if answer.size != self._size:
            self._flight.forget()  # the server does not take what was sent for the size before
        self._last, self._size = (landed.asked, answer), answer.size
        if not landed.asked.message.every_frame:
            newest_at = landed.asked.frames[-1].captured_at
            self._is_new_stream |= self._pictures.replaced(newest_at, self._now())

    def _note_failure(self, link: Link, answer: Failed) -> None:
        """An edit raised there: a chunk is made here, the next one is tried there again."""
        _log.warning("%s failed: %s", self._host, answer.reason)
        self._num_failures += 1
        self._flight.forget()  # the stream starts anew there
        self._size = answer.size
        if self._num_failures >= MAX_FAILURES:
            self._give_up(link, EditorError(f"{MAX_FAILURES} edits in a row failed there"))

    def _give_up(self, link: Link, why: Exception) -> None:
        link.end(LinkLost(str(why)))
        self._proven = self._trial = self._size = self._last = None
        self._flight.forget()
        self._num_failures = 0
        self._is_new_stream = True

    def _begin_trial(self, frames: Sequence[ModelFrame], conditioning: Conditioning) -> None:
        """Have a link that is new edit something, while the picture is still edited here."""
        if self._trial is not None and self._trial.link.lost is None:
            return
        self._trial = None
        link = self._keeper.link()
        if link is None:
            return
        size = link.welcome.size
        height, width = frames[0].pixels.shape[:2]
        fitted = size.model_size.of(width, height)
        chosen = [frames[i * len(frames) // size.chunk_frames] for i in range(size.chunk_frames)]
        shown = [replace(one, pixels=shrink(one.pixels, *fitted)) for one in chosen]
        self._is_new_stream = True
        try:
            self._trial = self._ask(link, shown, conditioning, every_frame=False)
        except LinkLost as error:
            self._give_up(link, error)

    def _end_trial(self) -> None:
        """Let the server edit from the next chunk on, once it has shown that it can."""
        asked = self._trial
        if asked is None:
            return
        try:
            found = asked.link.wait([asked.message], 0.0)
            if found is None:
                if self._now() - asked.at > TRIAL_S:
                    raise LinkLost(f"no first answer for {TRIAL_S:g} s")
                return
            (answer, blobs), at = found
            if isinstance(answer, Failed):
                raise LinkLost(f"its first edit failed: {answer.reason}")
            assert isinstance(answer, Edited), f"the link gave {answer.type} for an edit"
            change_of(answer, blobs, asked)
        except (LinkLost, WireError) as error:
            self._give_up(asked.link, error)
            return
        self._trial, self._proven = None, asked.link
        self._last, self._size = (asked, answer), answer.size
        self._flight.begin(Landed(asked, answer, blobs, at - asked.at))

    def report(self) -> EditorReport:
        if self._proven is None or self._last is None:
            link = self._keeper.link()
            why = "is being tried" if link is not None else f"is away: {self._keeper.reason}"
            said = f"this computer; {self._host} {why}"
            return replace(self._local.report(), model=self.name, edited_by=said)
        asked, answer = self._last
        size = f"{asked.message.width}x{asked.message.height}"
        away_ms = 1000 * self._proven.round_trip_s
        said = f"{self._host}, {away_ms:.0f} ms away; it gets pictures of {size}"
        report = EditorReport(**answer.report.model_dump())
        return replace(report, model=self.name, edited_by=said)

    def reset(self) -> None:
        self._local.reset()
        self._flight.forget()
        self._is_new_stream = True

    def close(self) -> None:
        self._keeper.close()
        self._local.close()


def change_of(answer: Edited, blobs: Sequence[bytes], asked: Asked) -> Change:
    """The change a server found, float32, for the last frames. Raises WireError."""
    count, height, width = answer.count, asked.message.height, asked.message.width
    expected = len(asked.frames) if asked.message.every_frame else 1
    if count != expected or len(blobs) != 2:
        raise WireError(
            f"the server sent {count} fields in {len(blobs)} blobs, expected {expected} in 2"
        )
    cells = unpacked(blobs[0], (count, 12, height // 4, width // 4))
    rest = unpacked(blobs[1], (count, 3, height, width)) if blobs[1] else None
    return Change(cells.astype(np.float32), rest, answer.report.changed or 0.0)
