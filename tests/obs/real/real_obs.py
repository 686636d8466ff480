"""Real OBS on a screen of its own (Xvfb), with its own home folder, port and password.

Nothing of the user's OBS is read or written; all processes end with the test.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

PASSWORD = "only for this test"
COLLECTION = "Lab"
MISSING = [name for name in ("obs", "Xvfb") if shutil.which(name) is None]
LUA_SCRIPT = Path(__file__).parents[3] / "plugins" / "obs" / "liveedit_cam.lua"

SLATE_KEYS = [{"key": "OBS_KEY_F9"}]
"""The script's key for slate, as OBS saves it."""

_OPTIONS = ("--multi", "--disable-missing-files-check", "--verbose")
_GLOBAL_INI = """[General]
Pre19Defaults=false
Pre21Defaults=false
Pre23Defaults=false
Pre24.1Defaults=false
FirstRun=true
InfoIncrement=-1
LastVersion=486539266
EnableAutoUpdates=false
BrowserHWAccel=false

[Basic]
Profile={collection}
ProfileDir={collection}
SceneCollection={collection}
SceneCollectionFile={collection}
ConfigOnNewProfile=false

[BasicWindow]
SysTrayEnabled=false

[OBSWebSocket]
FirstLoad=false
ServerEnabled=true
ServerPort={port}
AlertsEnabled=false
AuthRequired=true
ServerPassword={password}
"""

_PROFILE_INI = """[General]
Name={collection}

[Video]
BaseCX=640
BaseCY=360
OutputCX=640
OutputCY=360
FPSType=0
FPSCommon=30

[Output]
Mode=Simple

[SimpleOutput]
FilePath={videos}
"""


def wait_until(is_done: Callable[[], bool], timeout_s: float, what: str) -> float:
    """Seconds until ``is_done``, asked a hundred times a second; fails with ``what``."""
    began = time.monotonic()
    while not is_done():
        if time.monotonic() - began > timeout_s:
            raise AssertionError(f"{what}: not within {timeout_s:.0f} s")
        time.sleep(0.01)
    return time.monotonic() - began


class Screen:
    """An X server without a monitor."""

    def __init__(self, size: str = "1280x720x24") -> None:
        """Start it on a display number that is free; returns once programs can use it."""
        reader, writer = os.pipe()
        self._process = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writer), "-screen", "0", size, "-nolisten", "tcp"],
            pass_fds=[writer],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(writer)
        with os.fdopen(reader) as answer:
            self.display = f":{answer.readline().strip()}"
        assert self.display != ":", "Xvfb ended before it was ready"

    def close(self) -> None:
        """End it; OBS must be gone before."""
        self._process.terminate()
        self._process.wait(10)


class RealObs:
    """One OBS, which may be killed and started again with the same home folder."""

    def __init__(self, folder: Path, display: str, instructions: list[str]) -> None:
        """Write the configuration; the Lua script is loaded with ``instructions``."""
        self.home = folder / "home"
        self.videos = folder / "videos"
        self.port = free_port()
        self._log = folder / "obs.log"
        self._environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("XDG_")},
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "DISPLAY": display,
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "QT_QPA_PLATFORM": "xcb",
            "LANG": "C.UTF-8",
        }
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "run").mkdir(mode=0o700)
        self.videos.mkdir()
        self._configure(instructions)

    def start(self) -> None:
        """Start it; returns at once."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["obs", *_OPTIONS, "--collection", COLLECTION, "--profile", COLLECTION],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait_ready(self, timeout_s: float = 30) -> float:
        """Seconds until its web socket takes connections."""
        return wait_until(self._is_listening, timeout_s, "OBS's web socket is open")

    def kill(self) -> None:
        """End it as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def close(self) -> int:
        """End it in order, so that it saves its files; its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(20)

    def log(self) -> str:
        """All it wrote to its log so far."""
        return self._log.read_text("utf-8", errors="replace")

    def saved(self) -> dict[str, Any]:
        """The scene collection file as OBS saved it."""
        path = self._config / "basic" / "scenes" / f"{COLLECTION}.json"
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return found

    @property
    def _config(self) -> Path:
        return self.home / ".config" / "obs-studio"

    def _is_listening(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()[-2000:]
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _configure(self, instructions: list[str]) -> None:
        basic = self._config / "basic"
        profile = basic / "profiles" / COLLECTION
        profile.mkdir(parents=True)
        (basic / "scenes").mkdir()
        values = {
            "collection": COLLECTION,
            "port": self.port,
            "password": PASSWORD,
            "videos": self.videos,
        }
        (self._config / "global.ini").write_text(_GLOBAL_INI.format(**values), "utf-8")
        (profile / "basic.ini").write_text(_PROFILE_INI.format(**values), "utf-8")
        plugin = self._config / "plugin_config" / "obs-websocket"  # where newer versions look
        plugin.mkdir(parents=True)
        server = {
            "alerts_enabled": False,
            "auth_required": True,
            "first_load": False,
            "server_enabled": True,
            "server_password": PASSWORD,
            "server_port": self.port,
        }
        (plugin / "config.json").write_text(json.dumps(server), "utf-8")
        collection = json.dumps(_collection(instructions))
        (basic / "scenes" / f"{COLLECTION}.json").write_text(collection, "utf-8")


def _collection(instructions: list[str]) -> dict[str, Any]:
    """A scene collection of one empty scene, which loads the Lua script with a key for slate."""
    script = {
        "path": str(LUA_SCRIPT),
        "settings": {
            "instructions": [{"value": text} for text in instructions],
            "liveedit.slate": SLATE_KEYS,
        },
    }
    return {
        "name": COLLECTION,
        "current_scene": "Scene",
        "current_program_scene": "Scene",
        "current_transition": "Fade",
        "transition_duration": 300,
        "scene_order": [{"name": "Scene"}],
        "sources": [
            {
                "id": "scene",
                "versioned_id": "scene",
                "name": "Scene",
                "settings": {"items": [], "id_counter": 0},
            }
        ],
        "modules": {"scripts-tool": [script]},
    }


def decode(image_data: str) -> np.ndarray:
    """The picture of a GetSourceScreenshot answer, (H, W, 3) RGB."""
    encoded = base64.b64decode(image_data.partition(",")[2])
    picture = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
