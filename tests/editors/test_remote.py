"""The model elsewhere: the same fields as here, and the picture goes on when it is away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from fake_clock import Clock
from scripted_editors import CHUNK_FRAMES, MARK, ScriptedEditor
from serving import HEIGHT, PATIENCE_S, SECRET, WIDTH, serving

from liveedit_cam.editors.remote import TRIAL_S, RemoteEditor, create
from liveedit_cam.engine import messages as engine
from liveedit_cam.engine.worker import check, check_values
from liveedit_cam.errors import EditorError, InstructionError, UsageError
from liveedit_cam.protocols import Conditioning, EditorOptions
from liveedit_cam.remote.address import ServerAddress
from liveedit_cam.remote.flight import BRIDGE_S, LEAST_WAIT_S, MAX_FLYING
from liveedit_cam.remote.keeper import LinkKeeper
from liveedit_cam.remote.link import Answer, LinkLost, connect
from liveedit_cam.remote.messages import (
    Edit,
    Edited,
    Encode,
    Encoded,
    Failed,
    Report,
    Size,
    Welcome,
)
from liveedit_cam.remote.planes import packed
from liveedit_cam.types import EditField, EditInstruction, ModelFrame

SIZE = Size(chunk_frames=CHUNK_FRAMES, token_px=16, num_tokens=12)


CHUNK_S = 0.2
"""Of ``frames``: two, a tenth of a second apart."""


def frames(size: tuple[int, int] = (HEIGHT, WIDTH), first: int = 5) -> list[ModelFrame]:
    return [ModelFrame(np.full((*size, 3), 60, np.uint8), first + n, 0.1 * n) for n in range(2)]


class FakeLink:
    """A server in a few lines; ``answers`` makes what comes for an edit, None = nothing comes.

    It comes ``took_s`` after the edit was sent.
    """

    class address:
        host = "gpu"

    welcome = Welcome(model="far", size=SIZE)
    round_trip_s = 0.04

    def __init__(self, clock: Clock, answers: Callable[[Edit], Answer | None]) -> None:
        self.lost: LinkLost | None = None
        self.sent: list[Edit | Encode] = []
        self.answers = answers
        self.took_s = 0.1
        self.took_at: dict[int, float] = {}
        self._sent_at: dict[int, float] = {}
        self._clock = clock

    @property
    def edits(self) -> list[Edit]:
        return [one for one in self.sent if isinstance(one, Edit)]

    def next_number(self) -> int:
        return len(self.sent) + 1

    def send(self, message: Edit | Encode, blobs: object = ()) -> None:
        if self.lost is not None:
            raise self.lost
        self.sent.append(message)
        self._sent_at[message.number] = self._clock.now()

    def wait(
        self, messages: Sequence[Edit | Encode], timeout_s: float
    ) -> tuple[Answer, float] | None:
        edits = [one for one in messages if isinstance(one, Edit)]
        comes = {
            self.took_at.get(one.number, self._sent_at[one.number] + self.took_s): answer
            for one in edits
            if (answer := self.answers(one)) is not None
        }
        first = min(comes, default=float("inf"))
        self._clock.wait(min(timeout_s, max(0.0, first - self._clock.now())))
        there = [at for at in comes if at <= self._clock.now() + 1e-9]
        return (comes[max(there)], max(there)) if there else None

    def end(self, why: LinkLost) -> None:
        self.lost = self.lost or why


class FakeKeeper:
    """Has the link it was given until that is lost."""

    reason = "nobody listens there"

    def __init__(self, link: FakeLink) -> None:
        self.one = link

    def link(self) -> FakeLink | None:
        return None if self.one.lost else self.one

    def close(self) -> None:
        """Nothing is held."""


def edited(request: Edit, **changes: object) -> Answer:
    """A field that adds half a level of everything."""
    count = CHUNK_FRAMES if request.every_frame else 1
    cells = np.full((count, 12, request.height // 4, request.width // 4), 0.5, np.float32)
    values = {"number": request.number, "count": count, "server_s": 0.05, "size": SIZE,
              "report": Report(device="cuda:0")}  # fmt: skip
    return Edited.model_validate(values | changes), [packed(cells), b""]


class TimedEditor(ScriptedEditor):
    """A local model that takes a tenth of a second."""

    def __init__(self, memory: Path, clock: Clock) -> None:
        super().__init__(memory, "cpu")
        self._clock = clock

    def edit(
        self, frames: Sequence[ModelFrame], conditioning: Conditioning, *, every_frame: bool
    ) -> list[EditField]:
        self._clock.wait(0.1)
        return super().edit(frames, conditioning, every_frame=every_frame)


class Rig:
    """A remote editor whose server is a function."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.link = FakeLink(self.clock, edited)
        self.keeper = FakeKeeper(self.link)
        self.local = TimedEditor(folder / "memory", self.clock)
        self.editor = RemoteEditor(self.local, self.keeper, "gpu", now=self.clock.now)  # type: ignore[arg-type]  # fakes of the same shape
        self.conditioning = self.local.encode(EditInstruction("mark", revision=3))

    def edit(self, every_frame: bool = False) -> str:
        """Who edited the next chunk, seen by its values; held to the contract."""
        chunk = frames()
        fields = self.editor.edit(chunk, self.conditioning, every_frame=every_frame)
        check(engine.Edit(tuple(chunk), every_frame), 3, fields)
        return "there" if fields[-1].cells[0, 0, 0] == pytest.approx(0.5, abs=0.01) else "here"

    def late(self, first: int) -> list[int]:
        """Edit frames of these numbers as the daemon does; the numbers of the fields that came."""
        began = self.clock.now_s
        fields = self.editor.edit(frames(first=first), self.conditioning, every_frame=False)
        check_values(fields)
        self.clock.wait(max(0.0, began + CHUNK_S - self.clock.now_s))
        return [field.index for field in fields]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_a_new_link_edits_from_the_second_chunk_on(rig: Rig) -> None:
    """Catches a stop of the picture while a server warms up, and a status that names the other."""
    assert rig.editor.report().edited_by == "this computer; gpu is being tried"
    assert [rig.edit(), rig.edit(), rig.edit(every_frame=True)] == ["here", "there", "there"]
    report = rig.editor.report()
    assert report.edited_by == f"gpu, 40 ms away; it gets pictures of {WIDTH}x{HEIGHT}"
    assert (report.model, report.device) == ("far", "cuda:0")


def test_silence_is_answered_here_before_a_field_gets_too_old(rig: Rig) -> None:
    """Catches a picture that waits for a dead link, and a wait longer than the promised 2 s."""
    rig.edit()
    rig.edit()
    rig.link.answers = lambda request: None
    began, here_after_s = rig.clock.now_s, None
    while rig.link.lost is None:
        is_here = bool(rig.late(7))
        here_after_s = here_after_s or (is_here and rig.clock.now_s - began) or None
        assert rig.clock.now_s - began < LEAST_WAIT_S + 3 * CHUNK_S
    assert here_after_s is not None
    assert here_after_s < BRIDGE_S + 3 * CHUNK_S
    assert rig.editor.report().edited_by == "this computer; gpu is away: nobody listens there"
    assert rig.editor.report().model == "scripted"
    rig.keeper.one = FakeLink(rig.clock, edited)
    assert [rig.edit(), rig.edit()] == ["here", "there"]


def test_a_long_way_costs_age_and_no_rate(rig: Rig) -> None:
    """Catches a camera that lets the round trip pass before its next chunk leaves."""
    rig.edit()
    rig.link.took_s = 2.2 * CHUNK_S
    for _ in range(12):
        rig.late(5)  # it learns that this is usual
    rig.editor.reset()
    began = rig.clock.now_s
    came = [rig.late(first) for first in range(0, 40, 2)]
    assert rig.clock.now_s - began < 21 * (CHUNK_S + 0.03)
    numbers = [number for one in came for number in one]
    assert numbers == list(range(1, numbers[-1] + 1, 2)), "each chunk's field once, in order"
    assert numbers[-1] >= 35
    assert [one.number for one in rig.link.edits] == sorted(one.number for one in rig.link.edits)


def test_a_slow_server_is_sent_no_more_than_it_edits(rig: Rig) -> None:
    """Catches chunks that wait for each other at the server, which only makes their fields old."""
    busy_until = 0.0
    comes: dict[int, tuple[float, float]] = {}

    def edit_in_order(request: Edit) -> Answer:
        nonlocal busy_until
        if request.number not in comes:
            begins = max(busy_until, rig.clock.now_s)
            busy_until = begins + 3 * CHUNK_S
            comes[request.number] = busy_until, begins - rig.clock.now_s
        at, queued_s = comes[request.number]
        rig.link.took_at[request.number] = at
        return edited(request, server_s=queued_s + 3 * CHUNK_S, queued_s=queued_s)

    rig.link.answers = edit_in_order
    for first in range(0, 120, 2):
        rig.late(first)
    began, numbers = rig.clock.now_s, []
    for first in range(120, 240, 2):
        numbers += rig.late(first)
    queued = [queued_s for at, queued_s in comes.values() if at > began]
    assert max(queued) < CHUNK_S / 2
    assert len(numbers) * 3 * CHUNK_S > 0.7 * (rig.clock.now_s - began), "nor does it idle"


def test_a_server_that_takes_seconds_is_waited_for_in_small_pieces(rig: Rig) -> None:
    """Catches an engine whose watchdog takes the wait for a large model elsewhere for a hang."""
    rig.link.took_s = 2.5
    for _ in range(25):
        rig.edit()
    rig.link.answers = lambda request: edited(request, server_s=2.5)
    came = []
    for _ in range(60):
        before = rig.clock.now_s
        came += rig.late(5)
        assert rig.clock.now_s - before < 2.0
    assert rig.link.lost is None
    assert len(came) > 5


def test_a_pause_of_the_link_is_bridged_here_and_the_link_is_kept(rig: Rig) -> None:
    """Catches a field too old to be shown, chunks that pile up, and a link given up for once."""
    rig.edit()
    for first in range(0, 20, 2):
        rig.late(first)
    sent, answers = len(rig.link.edits), rig.link.answers
    rig.link.answers = lambda request: None
    came = [rig.late(first) for first in (20, 22, 24)]
    assert came == [[], [23], [25]], "the newest, edited here"
    assert len(rig.link.edits) == sent + 3
    assert rig.link.lost is None
    rig.link.answers = answers
    assert [rig.late(26), rig.late(28)] == [[25], [29]], "at once what had come meanwhile"


def test_while_this_computer_bridges_it_does_not_wait_between_two_chunks(rig: Rig) -> None:
    """Catches edits that get rarer the slower this computer is, as frames cover more time then."""
    rig.edit()
    for first in range(0, 20, 2):
        rig.late(first)
    rig.link.answers = lambda request: None
    while not rig.late(20):
        pass
    began = rig.clock.now_s
    spread = [replace(frame, captured_at=5 * n) for n, frame in enumerate(frames())]
    assert rig.editor.edit(spread, rig.conditioning, every_frame=False)
    assert rig.clock.now_s - began == pytest.approx(0.1), "what an edit takes here"


def test_no_more_are_on_their_way_than_may_be(rig: Rig) -> None:
    """Catches requests that pile up on a link that takes long."""
    rig.edit()
    rig.link.took_s = 0.9
    for _ in range(20):
        rig.late(5)  # the usual time rises: this is slow, not dead
    rig.link.answers = lambda request: None
    sent = len(rig.link.edits)
    for _ in range(5):
        rig.late(5)
    assert len(rig.link.edits) - sent <= MAX_FLYING


def test_frames_of_a_size_the_server_no_longer_takes_are_not_waited_for(rig: Rig) -> None:
    """Catches failures counted for chunks that left before the size was known."""
    rig.edit()
    rig.link.took_s = 2.2 * CHUNK_S
    for _ in range(6):
        rig.late(5)
    last = rig.link.edits[-1].number
    small = SIZE.model_copy(update={"num_tokens": 11})
    failed = Failed(number=0, reason="got 4 frames of another size", size=small)
    rig.link.answers = lambda request: (
        (failed.model_copy(update={"number": request.number}), [])
        if request.number <= last
        else edited(request, size=small)
    )
    for _ in range(8):
        rig.late(5)
    assert rig.link.lost is None
    assert rig.editor.size.num_tokens == 11


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda request: (edited(request)[0], [packed(np.zeros((1, 12, 3, 4), np.float32)), b""]),
         "bytes, expected"),
        (lambda request: (edited(request)[0], []), "0 blobs"),
        (lambda request: edited(request, count=2), "2 fields"),
        (lambda request: (edited(request)[0], [b"", b""]), "expected"),
        (lambda request: (edited(request)[0], [edited(request)[1][0], b"nan"]), "unpacked"),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_one_never_reaches_the_picture(
    rig: Rig, wrong: Callable[[Edit], Answer], says: str
) -> None:
    """Catches a wrong shape or NaN that is put on, and a reason nobody is told."""
    rig.edit()
    rig.link.answers = wrong
    assert rig.edit() == "here"
    assert says in str(rig.link.lost)


def test_a_server_that_is_wrong_from_the_start_is_never_used(rig: Rig) -> None:
    """Catches a trial whose answer is not looked at."""
    rig.link.answers = lambda request: (edited(request)[0], [b"nonsense", b""])
    assert [rig.edit(), rig.edit()] == ["here", "here"]
    assert "unpacked" in str(rig.link.lost)


def test_a_first_answer_may_take_long_and_not_for_ever(rig: Rig) -> None:
    """Catches a server that compiles for a minute and is given up, and one waited for always."""
    rig.link.answers = lambda request: None
    rig.edit()
    rig.clock.wait(TRIAL_S - 1)
    assert rig.edit() == "here"
    assert len(rig.link.sent) == 1
    assert rig.link.lost is None
    rig.clock.wait(2)
    rig.edit()
    assert "no first answer" in str(rig.link.lost)


def test_an_edit_that_fails_there_is_made_here_and_three_end_the_link(rig: Rig) -> None:
    """Catches an engine restarted for a fault of another computer."""
    rig.edit()
    rig.link.answers = lambda request: (
        Failed(number=request.number, reason="out of memory", size=SIZE), [])  # fmt: skip
    assert [rig.edit(), rig.edit()] == ["here", "here"]
    assert rig.link.lost is None
    assert rig.edit() == "here"
    assert "3 edits in a row" in str(rig.link.lost)


def test_frames_that_only_the_server_takes_cost_one_chunk(rig: Rig) -> None:
    """Catches frames of the large model given to the small one when the link dies."""
    large = SIZE.model_copy(update={"num_tokens": 48})
    rig.link.answers = lambda request: edited(request, size=large)
    rig.edit()
    assert rig.editor.size.num_tokens == 48
    rig.link.answers = lambda request: None
    for _ in range(3):
        assert not rig.editor.edit(frames((96, 128)), rig.conditioning, every_frame=False)
    with pytest.raises(EditorError, match="did not edit this chunk"):
        rig.editor.edit(frames((96, 128)), rig.conditioning, every_frame=False)
    assert rig.editor.size.num_tokens == 12
    assert rig.edit() == "here"


def test_after_a_reset_the_server_is_told_to_forget(rig: Rig) -> None:
    """Catches a stream that goes on there after it was begun anew here."""
    for _ in range(3):
        rig.edit()
    rig.editor.reset()
    rig.edit()
    told = [one.is_new_stream for one in rig.link.sent if isinstance(one, Edit)]
    assert told == [True, False, False, True]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[int], RemoteEditor]]:
    """Makes remote editors for a server on that port of this computer."""
    with ExitStack() as opened:

        def make_one(port: int) -> RemoteEditor:
            address = ServerAddress("127.0.0.1", port, False)
            keeper = LinkKeeper(partial(connect, address, SECRET))
            keeper.start()
            local = ScriptedEditor(tmp_path / "local", "cpu")
            editor = RemoteEditor(local, keeper, "localhost")
            opened.callback(editor.close)
            return editor

        yield make_one


def until(editor: RemoteEditor, says: str) -> None:
    """Edit until the report says who edits."""
    give_up_at = time.monotonic() + PATIENCE_S
    conditioning = editor.encode(EditInstruction("mark", revision=1))
    while says not in str(editor.report().edited_by):
        assert time.monotonic() < give_up_at, editor.report()
        for field in editor.edit(frames(), conditioning, every_frame=False):
            assert field.cells[9:].max() == pytest.approx(MARK / 255, rel=0.01)
        Event().wait(0.01)


def test_a_real_server_goes_and_comes_back(
    tmp_path: Path, make: Callable[[int], RemoteEditor]
) -> None:
    """Catches a field that comes back another one, a fallback that does not come, and no return."""
    with serving(tmp_path) as (_, cameras):
        port = cameras.address.port
        editor = make(port)
        until(editor, "ms away")
        assert editor.report().device.startswith("served")
        assert editor.encode(EditInstruction("gibberish", revision=2)).notice is not None
        with pytest.raises(InstructionError):
            editor.encode(EditInstruction("refuse", revision=3))
    until(editor, "is away")
    with serving(tmp_path, port=port):
        until(editor, "ms away")


def test_an_address_that_cannot_be_one_is_told_before_a_model_is_loaded() -> None:
    """Catches a start that waits for a model to say that a word is misspelt."""
    with pytest.raises(UsageError, match="expected ws"):
        create(EditorOptions("no-such-model", target="gpu.lan:8650"))


def test_an_instruction_only_the_server_takes_is_edited_there(rig: Rig) -> None:
    """Catches an instruction refused because the small model cannot use it, and a crash later."""
    rig.link.lost = LinkLost("not yet")
    with pytest.raises(InstructionError, match="something possible"):
        rig.editor.encode(EditInstruction("refuse", revision=4))
    rig.link.lost = None
    rig.edit()
    wait = rig.link.wait
    rig.link.wait = lambda messages, timeout_s: (  # type: ignore[method-assign]  # one more answer
        ((Encoded(number=messages[0].number), []), rig.clock.now())
        if isinstance(messages[0], Encode)
        else wait(messages, timeout_s)
    )
    rig.conditioning = rig.editor.encode(EditInstruction("refuse", revision=3))
    assert rig.edit() == "there"
    rig.link.answers = lambda request: None
    with pytest.raises(EditorError, match="cannot use this instruction"):
        rig.edit(every_frame=True)
