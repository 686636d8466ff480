"""The screen of a Wayland desktop: a fake portal on a real session bus, and a real PipeWire.

Skipped where PipeWire, GStreamer, a message bus or jeepney are not installed. About twenty seconds.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jeepney")
PROGRAMS = ("pipewire", "wireplumber", "pw-dump", "gst-launch-1.0", "dbus-daemon")
MISSING = [program for program in PROGRAMS if shutil.which(program) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

if sys.platform == "linux":
    from jeepney import DBusAddress, new_method_call
    from jeepney.io.blocking import open_dbus_connection

    from liveedit_cam.errors import SourceError
    from liveedit_cam.sources import _portal, screen
    from liveedit_cam.sources._cast import SharedScreen

PATIENCE_S = 20.0
PORTAL = Path(__file__).with_name("fake_portal.py")


class Desktop:
    """A message bus, PipeWire, and a screen (a ball that moves) that a portal may share."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        for name in ("XDG_RUNTIME_DIR", "PIPEWIRE_RUNTIME_DIR", "HOME"):
            environment.setenv(name, str(folder))
        environment.setenv("WAYLAND_DISPLAY", "wayland-0")
        for name in ("DISPLAY", "XDG_STATE_HOME"):
            environment.delenv(name, raising=False)
        bus = f"unix:path={folder / 'bus'}"
        environment.setenv("DBUS_SESSION_BUS_ADDRESS", bus)
        self.start("dbus-daemon", "--session", "--nofork", f"--address={bus}")
        eventually((folder / "bus").exists)
        self.start("pipewire")
        eventually((folder / "pipewire-0").exists)
        self.start("wireplumber")
        self.node = self._draw_screen()
        self.token = _portal.token_path("monitor", os.environ)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self._stack.callback(process.wait, PATIENCE_S)
        self._stack.callback(process.terminate)
        return process

    def _draw_screen(self) -> int:
        shape = "video/x-raw,format=BGRx,width=1280,height=720,framerate=30/1"
        properties = "stream-properties=props,media.class=Video/Source,node.name=fake-screen"
        picture = ["videotestsrc", "is-live=true", "pattern=ball", "!", shape]
        picture += ["!", "identity", "drop-allocation=true"]
        self.start(
            "gst-launch-1.0", "-q", *picture, "!", "pipewiresink", "mode=provide", properties
        )
        eventually(lambda: bool(self._nodes()))
        return self._nodes()[0]

    def _nodes(self) -> list[int]:
        told = subprocess.run(["pw-dump"], capture_output=True, check=False)
        if told.returncode:
            return []
        return [
            one["id"]
            for one in json.loads(told.stdout)
            if ((one.get("info") or {}).get("props") or {}).get("node.name") == "fake-screen"
        ]


class Dialog:
    """A portal of its own for one test, in the ``manner`` of fake_portal.py."""

    def __init__(self, desktop: Desktop, manner: str, log: Path) -> None:
        self._log = log
        command = [sys.executable, str(PORTAL), str(desktop.node), str(log), manner]
        self.process = subprocess.Popen(command)
        eventually(lambda: log.exists() and bool(self.asked()))

    def asked(self) -> list[tuple[str, dict[str, object]]]:
        """Method and options of each call."""
        return [tuple(json.loads(line)) for line in self._log.read_text().splitlines()]

    def options(self, method: str) -> dict[str, object]:
        (found,) = [options for name, options in self.asked() if name == method]
        return found

    def revoke(self) -> None:
        with open_dbus_connection("SESSION") as bus:
            address = DBusAddress(_portal.PATH, _portal.NAME, _portal.SCREEN_CAST)
            bus.send_and_get_reply(new_method_call(address, "Revoke"), timeout=5)


@pytest.fixture(scope="module")
def desktop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desktop]:
    with ExitStack() as stack:
        yield Desktop(tmp_path_factory.mktemp("desktop"), stack)


@pytest.fixture
def dialog(desktop: Desktop, tmp_path: Path) -> Iterator[Callable[[str], Dialog]]:
    made: list[Dialog] = []

    def start(manner: str) -> Dialog:
        made.append(Dialog(desktop, manner, tmp_path / "log"))
        return made[-1]

    yield start
    for one in made:
        one.process.terminate()
        one.process.wait(PATIENCE_S)
    desktop.token.unlink(missing_ok=True)


def eventually(check: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not check():
        assert time.monotonic() < give_up_at, "what was waited for did not come"
        threading.Event().wait(0.02)


def opened(target: str = "", width: int = 1280, height: int = 720) -> SharedScreen:
    source = screen.create(target, loop=True, realtime=True, width=width, height=height)
    assert isinstance(source, SharedScreen)
    return source


def test_what_the_desktop_shares_is_read_at_its_rate(
    desktop: Desktop, dialog: Callable[[str], Dialog]
) -> None:
    """Catches slanted or frozen pictures and a slow pipe: 25 new ones a second is the bar.

    The ball moves with each picture of the 30 a second; a busy computer may lose some.
    """
    asked = dialog("shares")
    source = opened()
    try:
        assert (source.width, source.height) == (1280, 720)
        assert "shared by the desktop" in source.name
        first = source.read().pixels
        assert int(first.max()) > 200  # the white ball
        assert np.median(first) < 20  # on black
        began, places = time.monotonic(), set()
        while time.monotonic() - began < 2.0:
            rows, columns = np.nonzero(source.read().pixels[::4, ::4, 0] > 128)
            places.add((round(float(rows.mean()), 1), round(float(columns.mean()), 1)))
        assert len(places) >= 25 * 2 * 0.8, f"{len(places)} different pictures in 2 s"
    finally:
        source.close()
        source.close()
    assert asked.options("SelectSources")["types"] == 1
    assert "restore_token" not in asked.options("SelectSources")
    assert desktop.token.read_text() == "known"
    assert desktop.token.stat().st_mode & 0o077 == 0


def test_the_permission_is_remembered(desktop: Desktop, dialog: Callable[[str], Dialog]) -> None:
    """Catches a dialog at every start."""
    _portal.write_token(desktop.token, "known")
    asked = dialog("shares")
    opened("0,0,640,360").close()
    assert asked.options("SelectSources")["restore_token"] == "known"
    assert asked.options("SelectSources")["persist_mode"] == 2


@pytest.mark.usefixtures("desktop")
def test_a_window_and_a_smaller_picture(dialog: Callable[[str], Dialog]) -> None:
    """Catches a window asked for as a screen, and pictures larger than the run's."""
    asked = dialog("shares")
    source = opened("window", 640, 640)
    assert (source.width, source.height) == (640, 360)
    assert source.read().pixels.shape == (360, 640, 3)
    source.close()
    assert asked.options("SelectSources")["types"] == 2


@pytest.mark.usefixtures("desktop")
@pytest.mark.parametrize(
    ("manner", "words"), [("refuses", "answered with no"), ("breaks", "Start, code 2")]
)
def test_a_no_is_an_answer(dialog: Callable[[str], Dialog], manner: str, words: str) -> None:
    """Catches another screen shown to somebody who said no."""
    dialog(manner)
    with pytest.raises(SourceError, match=words):
        opened()


@pytest.mark.usefixtures("desktop")
def test_a_dialog_that_nobody_answers(dialog: Callable[[str], Dialog], tmp_path: Path) -> None:
    """Catches a start that waits for ever."""
    dialog("waits")
    portal = _portal.Portal(person_s=0.5)
    with pytest.raises(SourceError, match=r"Nobody chose.*within 0\.5 s"):
        portal.share("monitor", tmp_path / "token")
    portal.close()


@pytest.mark.usefixtures("desktop")
def test_no_portal_is_told_with_what_to_install() -> None:
    """Catches the name of a D-Bus error as the only explanation."""
    with pytest.raises(SourceError, match=r"Wayland.*no X11 display.*xdg-desktop-portal"):
        opened()


@pytest.mark.usefixtures("desktop")
def test_an_end_of_the_sharing_is_noticed(dialog: Callable[[str], Dialog]) -> None:
    """Catches the last picture shown for ever after the person has stopped the sharing."""
    asked = dialog("shares")
    source = opened()
    source.read()
    asked.revoke()

    def read_on() -> None:
        for _ in range(200):
            source.read()

    with pytest.raises(SourceError, match="sharing of the screen was ended"):
        read_on()
    source.close()
