"""Recording, snapshot and fit from the command line, over HTTP to a served controller."""

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
from liveedit_cam.types import Frame


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
    assert controller.recordings == [(Path.cwd() / "show.mp4", True, True)]
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
    remote.main(["snapshot"])
    assert len(list(Path.cwd().iterdir())) == 2


def test_fit_and_mirror_are_set_one_by_one(controller: FakeController) -> None:
    """Catches a wish for one that takes the other back."""
    assert remote.main(["picture"]) == "fit bars, not mirrored"
    assert remote.main(["picture", "--mirror"]) == "fit bars, mirrored"
    assert remote.main(["picture", "--fit", "crop"]) == "fit crop, mirrored"
    assert remote.main(["picture", "--no-mirror"]) == "fit crop, not mirrored"
