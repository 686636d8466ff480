"""The PipeWire camera without PipeWire: small programs of our own stand in for its tools."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_clock import Clock

from liveedit_cam.errors import SinkError, UsageError
from liveedit_cam.sinks._pipewire_graph import Watch, lacks, parse_cameras, read_cameras
from liveedit_cam.sinks.pipewire import PipeWireCamera, gst_command, node_name
from liveedit_cam.types import Frame

WIDTH, HEIGHT = 256, 128
NUM_BYTES = WIDTH * HEIGHT * 3
"""More than a pipe of 64 KiB holds, so a child that reads nothing stalls the first frame."""

HERE = frozenset({node_name("LiveEdit")})
NOWHERE: frozenset[str] = frozenset()

FOREVER = "import signal; signal.pause()"
SWALLOW = "import sys; sys.stdin.buffer.read()"
COPY = "import os, sys; o = open(sys.argv[1], 'wb', 0)\nwhile d := os.read(0, 65536): o.write(d)"
WAIT_THEN_COPY = f"import sys; open(sys.argv.pop(1)).read()\n{COPY}"


def child(program: str, *arguments: str) -> list[str]:
    return [sys.executable, "-S", "-E", "-c", program, *arguments]


def eventually(check: Callable[[], bool]) -> None:
    """Give other processes and threads their turn, a bounded number of times."""
    pause = threading.Event()
    for _ in range(4000):
        if check():
            return
        pause.wait(0.005)
    raise AssertionError("what was waited for did not come")


class Desk:
    """Opens cameras and closes what a test leaves open."""

    def __init__(self) -> None:
        self.clock = Clock(0.0)
        self.opened: list[PipeWireCamera] = []

    def open(
        self,
        command: list[str],
        *,
        watch: list[str] | None = None,
        seen: Iterator[frozenset[str]] | None = None,
        width: int = WIDTH,
    ) -> PipeWireCamera:
        """``seen``: the cameras that PipeWire shows, one answer after the other."""
        answers = seen or iter([NOWHERE, HERE])
        camera = PipeWireCamera(
            "LiveEdit",
            width,
            HEIGHT,
            30.0,
            command=command,
            watch=watch or child(FOREVER),
            read_cameras=lambda: next(answers),
            now=self.clock.now,
            wait=self.clock.wait,
        )
        self.opened.append(camera)
        return camera


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    for camera in desk.opened:
        camera.close()


def frame(red: int) -> Frame:
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[..., 0] = red
    return Frame(pixels=pixels, index=red, captured_at=0.0)


def reds(path: Path) -> list[int]:
    """Red of the first pixel of each whole frame in a file."""
    data = np.frombuffer(path.read_bytes(), np.uint8)
    return [int(red) for red in data[: len(data) // NUM_BYTES * NUM_BYTES : NUM_BYTES]]


def refusal(camera: PipeWireCamera, between: Callable[[], None] = lambda: None) -> str:
    """The error that writing ends in; ``between`` is called before each write."""
    found: list[str] = []

    def is_refused() -> bool:
        between()
        try:
            camera.write(frame(1))
        except SinkError as error:
            found.append(str(error))
        return bool(found)

    eventually(is_refused)
    return found[0]


def test_frames_reach_the_child_whole_and_in_order(desk: Desk, tmp_path: Path) -> None:
    """Catches cut frames, swapped channels, and a flipped picture read as it lies in memory."""
    out = tmp_path / "frames"
    camera = desk.open(child(COPY, str(out)))
    eventually(lambda: out.exists() and len(reds(out)) == 1)
    for red in (10, 20):
        given = frame(red)
        camera.write(Frame(pixels=given.pixels[:, ::-1], index=0, captured_at=0.0))
        eventually(lambda: reds(out)[-1] == red)  # noqa: B023 - called in this round only
    assert reds(out) == [0, 10, 20]  # a black one makes the camera appear
    pixels = np.frombuffer(out.read_bytes(), np.uint8).reshape(3, HEIGHT, WIDTH, 3)
    assert (pixels[2] == frame(20).pixels).all()


def test_a_stalled_child_costs_frames_but_no_time(desk: Desk, tmp_path: Path) -> None:
    """Catches a write that waits for the child, a queue that grows, and an old frame shown first.

    A write that waited would never return: the child reads nothing before it is told to.
    """
    out, gate = tmp_path / "frames", tmp_path / "gate"
    os.mkfifo(gate)
    camera = desk.open(child(WAIT_THEN_COPY, str(gate), str(out)))
    for red in range(1, 101):
        camera.write(frame(red))
    gate.write_text("go")
    eventually(lambda: out.exists() and reds(out)[-1:] == [100])
    assert len(reds(out)) <= 2  # the one that was on its way and the newest


def test_a_lasting_stall_is_named(desk: Desk) -> None:
    """Catches a picture that stands still for ever while the status says that all is well."""
    camera = desk.open(child(FOREVER))
    desk.clock.wait(4.9)
    camera.write(frame(1))  # a laptop that wakes up, a reader that starts: not yet
    assert "taken no frame for" in refusal(camera, lambda: desk.clock.wait(1.0))


def test_a_child_that_ends_is_a_failure_with_its_own_words(desk: Desk) -> None:
    """Catches frames that vanish, and GStreamer's closing line shown in place of the error."""
    program = (
        "import os, sys; os.read(0, 1)\n"
        "print('ERROR: from element sink0: stream error', file=sys.stderr)\n"
        "print('Freeing pipeline ...', file=sys.stderr); sys.exit(7)"
    )
    said = refusal(desk.open(child(program)))
    assert "exit status 7: ERROR: from element sink0: stream error" in said
    assert "systemctl --user start pipewire" in said


def test_a_child_that_closes_its_input_is_a_failure(desk: Desk) -> None:
    """Catches a broken pipe swallowed by the thread that feeds it, while the child lives on."""
    camera = desk.open(child(f"import os; os.close(0); {FOREVER}"))
    assert "closed its input" in refusal(camera)


def test_the_end_of_pipewire_is_noticed(desk: Desk) -> None:
    """Catches a camera nobody can see any more: GStreamer goes on when PipeWire is gone."""
    try:
        camera = desk.open(child(SWALLOW), watch=child("import sys; sys.stdin.close()"))
    except SinkError as error:  # the watch ended before the camera was open
        told = str(error)
    else:
        told = refusal(camera)
    assert "PipeWire has stopped" in told


def test_a_missing_element_is_told_with_what_to_install(desk: Desk) -> None:
    """Catches "erroneous pipeline" in front of a user who lacks a package."""
    program = (
        "import sys; print('WARNING: erroneous pipeline: no element \"pipewiresink\"', "
        "file=sys.stderr); sys.exit(1)"
    )
    with pytest.raises(SinkError, match=r'no element "pipewiresink".*To install: '):
        desk.open(child(program), seen=slowly(NOWHERE))


def slowly(answer: frozenset[str]) -> Iterator[frozenset[str]]:
    """The same answer again and again, each a moment later, so that a child has time to end."""
    pause = threading.Event()
    while True:
        yield answer
        pause.wait(0.02)


def test_a_camera_that_never_appears_is_given_up(desk: Desk) -> None:
    """Catches a start that is taken for granted, or waits without end."""
    with pytest.raises(SinkError, match="did not appear within 15 s"):
        desk.open(child(SWALLOW), seen=(NOWHERE for _ in range(1000)))
    assert 15.0 <= desk.clock.now_s < 16.0


def test_a_name_in_use_is_refused(desk: Desk) -> None:
    """Catches two cameras of one name, of which a reader gets either."""
    with pytest.raises(SinkError, match=r'already.*pipewire:LiveEdit 2"'):
        desk.open(["/nonexistent/never-started"], seen=(HERE for _ in range(1000)))


def test_a_camera_of_that_name_may_just_be_leaving(desk: Desk) -> None:
    """Catches a reopened camera that stumbles over itself: PipeWire forgets a moment later."""
    camera = desk.open(child(SWALLOW), seen=iter([HERE, HERE, NOWHERE, NOWHERE, HERE]))
    assert camera.name == "pipewire:LiveEdit (256x128 at 30 fps)"


@pytest.mark.parametrize(
    ("command", "watch"), [("/nonexistent", sys.executable), (sys.executable, "/nonexistent")]
)
def test_a_missing_program_is_told_with_what_to_install(
    desk: Desk, command: str, watch: str
) -> None:
    """Catches FileNotFoundError in front of a user."""
    with pytest.raises(SinkError, match=r"/nonexistent cannot be run.*To install: "):
        desk.open([command, "-c", SWALLOW], watch=[watch, "-c", FOREVER])


def test_close_ends_the_child_even_in_the_middle_of_a_frame(desk: Desk) -> None:
    """Catches a thread that waits for ever in a full pipe, and a second close that raises."""
    camera = desk.open(child(FOREVER))
    camera.write(frame(1))
    camera.close()
    camera.close()
    with pytest.raises(SinkError, match="closed"):
        camera.write(frame(2))


def test_sizes_are_checked(desk: Desk) -> None:
    """Catches half a pair of pixels, and a frame that shifts all after it."""
    with pytest.raises(SinkError, match="even width"):
        desk.open(child(SWALLOW), width=WIDTH + 1)
    camera = desk.open(child(SWALLOW))
    with pytest.raises(SinkError, match="expected"):
        camera.write(Frame(pixels=np.zeros((8, 8, 3), np.uint8), index=0, captured_at=0.0))


def test_the_child_of_a_killed_daemon_ends(tmp_path: Path) -> None:
    """Catches a camera that outlives this program, which had no chance to close it."""
    out = tmp_path / "ended"
    note_end = f"import os, sys\nwhile os.read(0, 65536): pass\nopen({str(out)!r}, 'w').close()"
    daemon = (
        "import os, signal; from liveedit_cam.sinks._frame_pipe import FramePipe\n"
        f"FramePipe({child(note_end)!r}); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", daemon], check=False).returncode == -9
    eventually(out.exists)


def test_the_watch_does_not_fill_up_and_goes_on(tmp_path: Path) -> None:
    """Catches a watch that stalls on its own output and then misses the end of PipeWire."""
    out = tmp_path / "printed"
    watch = Watch(child(f"print('x' * 10_000_000); open({str(out)!r}, 'w').close(); {FOREVER}"))
    eventually(out.exists)
    assert not watch.is_over()
    watch.close()
    watch.close()
    assert watch.is_over()


DUMP = """[
  {"id": 28, "type": "PipeWire:Interface:Node", "info": {"props": {"node.name": "Dummy-Driver"}}},
  {"id": 36, "type": "PipeWire:Interface:Node", "info": {"props":
    {"node.name": "liveedit-cam:LiveEdit", "media.class": "Video/Source"}}},
  {"id": 37, "type": "PipeWire:Interface:Node", "info": {"props":
    {"node.name": "mic", "media.class": "Audio/Source"}}},
  {"id": 38, "type": "PipeWire:Interface:Node", "info": {"props": {"media.class": "Video/Source"}}},
  {"id": 39, "type": "PipeWire:Interface:Node", "info": null},
  {"id": 40, "type": "PipeWire:Interface:Metadata", "props": {"metadata.name": "settings"}}
]"""


def test_cameras_are_found_among_all_objects() -> None:
    """Catches microphones taken for cameras, and a node without properties that ends it all.

    What changes meanwhile is printed as a second list, a removed node as a null.
    """
    assert parse_cameras(DUMP) == {"liveedit-cam:LiveEdit"}
    assert parse_cameras(f'{DUMP}\n[{{"id": 36, "info": null}}]\n') == NOWHERE
    assert read_cameras(child(f"print('''{DUMP}''')")) == {"liveedit-cam:LiveEdit"}


@pytest.mark.parametrize("text", ["", "[", "[1]", '{"a": 1}', '[{"no": "type"}]'])
def test_another_answer_of_the_tool_is_an_error(text: str) -> None:
    """Catches a foreign exception, or "no cameras" read out of an answer not understood."""
    with pytest.raises(SinkError, match="something else than a list of objects"):
        parse_cameras(text)


@pytest.mark.parametrize(
    ("program", "timeout_s", "said"),
    [
        ('import sys; sys.exit("can\'t connect: Host is down")', 10.0, "can't connect.*systemctl"),
        (FOREVER, 0.01, "did not answer in 0.01 s.*restart"),
    ],
)
def test_a_service_that_is_not_there_is_told(program: str, timeout_s: float, said: str) -> None:
    """Catches a traceback, or a start that hangs, where PipeWire does not run or is stuck."""
    with pytest.raises(SinkError, match=said):
        read_cameras(child(program), timeout_s=timeout_s)


@pytest.mark.parametrize(
    ("system", "os_release", "said"),
    [
        ("linux", "ID=debian\n", "To install: sudo apt install gstreamer1.0-tools"),
        ("linux", "ID=fedora\n", "To install: sudo dnf install"),
        ("linux", "ID=manjaro\nID_LIKE=arch\n", "To install: sudo pacman -S"),
        ("linux", "", "To install: the packages with gst-launch-1.0"),
        ("darwin", "", "only on Linux"),
    ],
)
def test_the_command_fits_the_system(system: str, os_release: str, said: str) -> None:
    """Catches apt on Fedora, and a Linux command for a Mac."""
    assert said in str(lacks("x", system, os_release))


@pytest.mark.parametrize("name", ["", 'a"b', "a\\b", "a\nb", "x" * 65])
def test_a_name_that_would_break_the_command_is_refused(name: str) -> None:
    """Catches a name that ends its quotation and sets other properties."""
    with pytest.raises(UsageError, match="expected 1 to 64 characters"):
        node_name(name)


def test_the_child_is_told_size_rate_rows_and_colours() -> None:
    """Catches rows padded to four bytes (a slanted picture), and BT.601 for a large picture."""
    command = gst_command("node", "My Cam, 2", 854, 480, 30000 / 1001)
    assert "plane-strides=<2562>" in command
    assert "framerate=30000/1001" in command
    assert "video/x-raw,format=YUY2,colorimetry=bt601" in command
    assert r"node.description=\"My Cam, 2\"" in command[-1]
    assert "video/x-raw,format=YUY2,colorimetry=bt709" in gst_command("n", "d", 1280, 720, 30.0)
