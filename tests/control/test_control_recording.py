"""Recording, snapshot, fit and choices from the command line, over HTTP to a served controller."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from control_fakes import FakeController

from liveedit_cam.commands import remote
from liveedit_cam.control.app import create_app
from liveedit_cam.control.server import ControlServer, bind
from liveedit_cam.control.state import DaemonLock
from liveedit_cam.errors import ControlError
from liveedit_cam.types import Choice, Frame, LatencyMode


@pytest.fixture
def controller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeController]:
    """One that the command line finds; its folder is not the user's."""
    monkeypatch.setenv("LIVEEDIT_CAM_RUNTIME_DIR", str(tmp_path / "run"))
    user = tmp_path / "user"
    user.mkdir()
    monkeypatch.chdir(user)
    served = FakeController()
    with DaemonLock(tmp_path / "run") as lock:
        server = ControlServer(create_app(served, lock.token, lambda: None), bind(0))
        server.start()
        lock.publish(server.port)
        yield served
        server.stop()


def test_a_recording_is_begun_and_ended(controller: FakeController) -> None:
    """Catches a name taken from the daemon's folder, and a second start that ends the first."""
    said = remote.main(["record", "start", "show.mp4", "--with-source", "--badge"])
    assert str(Path.cwd() / "show.mp4") in said
    assert controller.recordings == [(Path.cwd() / "show.mp4", True, True, None)]
    with pytest.raises(ControlError, match="runs already"):
        remote.main(["record", "start"])
    assert ("recording", f"{Path.cwd() / 'show.mp4'}, 0 s") in [
        tuple(part.strip() for part in line.split("  ", 1))
        for line in remote.main(["status"]).splitlines()
    ]
    ended = remote.main(["record", "stop"]).splitlines()
    assert ended == ["recorded 2.5 s", str(Path.cwd() / "show.mp4"), str(Path.cwd() / "show.json")]
    with pytest.raises(ControlError, match="No recording runs"):
        remote.main(["record", "stop"])


def test_a_snapshot_is_a_new_file(controller: FakeController) -> None:
    """Catches an overwritten picture, and an empty file where there is no picture yet."""
    with pytest.raises(ControlError, match="no picture yet"):
        remote.main(["snapshot", "now.jpg"])
    assert list(Path.cwd().iterdir()) == []
    controller.frame = Frame(np.full((36, 64, 3), 90, np.uint8), 0, 0.0)
    remote.main(["snapshot", "now.jpg"])
    assert Path("now.jpg").read_bytes().startswith(b"\xff\xd8")
    with pytest.raises(ControlError, match="is there already"):
        remote.main(["snapshot", "now.jpg"])
    with pytest.raises(ControlError, match=r"got now\.png, expected a name that ends in \.jpg"):
        remote.main(["snapshot", "now.png"])
    remote.main(["snapshot"])
    assert len(list(Path.cwd().iterdir())) == 2


def test_fit_and_mirror_are_set_one_by_one(controller: FakeController) -> None:
    """Catches a wish for one that takes the other back."""
    assert remote.main(["picture"]) == "fit bars, not mirrored"
    assert remote.main(["picture", "--mirror"]) == "fit bars, mirrored"
    assert remote.main(["picture", "--fit", "crop"]) == "fit crop, mirrored"
    assert remote.main(["picture", "--no-mirror"]) == "fit crop, not mirrored"


@pytest.mark.parametrize(
    ("more", "wanted"), [((), None), (("--microphone",), ""), (("--microphone", "usb"), "usb")]
)
def test_a_recording_is_told_which_microphone(
    controller: FakeController, more: tuple[str, ...], wanted: str | None
) -> None:
    """Issue 20: catches a name that is lost on the way, and sound nobody asked for."""
    remote.main(["record", "start", *more])
    assert controller.recordings == [(Path("/videos/show.mp4"), False, False, wanted)]


def test_a_microphone_that_is_not_there_is_one_sentence(controller: FakeController) -> None:
    """Issue 20: catches a traceback, and a recording that begins without its sound."""
    with pytest.raises(ControlError, match="There is no microphone 'gone'; there are: none"):
        remote.main(["record", "start", "--microphone", "gone"])
    assert controller.found.recording is None


def test_what_the_page_can_choose_the_command_line_can(controller: FakeController) -> None:
    """Issue 20: one action bus; catches a trial that takes, and a choice nobody can look up."""
    listed = remote.main(["use"]).splitlines()
    assert "use source camera:0  HD Webcam" in listed
    assert len([line for line in listed if line.startswith("use steps ")]) == 2
    assert len(remote.main(["use", "model"]).splitlines()) == 1
    tried = remote.main(["use", "source", "camera:0", "--try"])
    assert tried == "source camera:0, tried: works, nothing was changed; instruction 3 goes on"
    for _ in range(2):  # again is no mistake
        assert remote.main(["use", "steps", "2"]).endswith("in use; instruction 3 goes on")
    steps = (Choice.STEPS, "2", False)
    assert controller.chosen == [(Choice.SOURCE, "camera:0", True), steps, steps]
    with pytest.raises(ControlError, match="There is no camera 9"):
        remote.main(["use", "source", "camera:9"])
    assert remote.main(["latency", "exact"]) == "latency exact"
    assert controller.found.latency is LatencyMode.EXACT
