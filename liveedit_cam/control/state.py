"""Where a running daemon leaves its address: a private folder with a lock, a token and a port.

The folder belongs to one user (mode 0700). The lock is held by the operating system for as long as
the daemon lives, so a lock file left by a killed process is simply taken over. Knows no HTTP.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from liveedit_cam.control.private_files import (
    RUNTIME_VARIABLE,
    give_up,
    is_held,
    locked,
    open_folder,
    told,
    write_private,
)
from liveedit_cam.errors import ControlError
from liveedit_cam.folders import OURS, user_folder

LOG_NAME = "daemon.log"
"""What a daemon in the background writes, in that folder."""
LOCK_TRIES = 5
"""A lock that was just given up may still be held for a moment; 5 tries, 20 ms apart."""


@dataclass(frozen=True, slots=True)
class DaemonAddress:
    """How to reach the daemon that runs now."""

    pid: int
    port: int
    """TCP port of the control plane on 127.0.0.1; 0 = it does not answer yet."""
    token: str
    """Secret of this user; whoever has it may control the daemon."""

    @property
    def page_url(self) -> str:
        """Address of the web page, with the token that opens it.

        It stands in the fragment: a browser keeps that to itself and sends it to no server.
        """
        return f"http://127.0.0.1:{self.port}/#token={self.token}"

    @property
    def pictures_url(self) -> str:
        """Address of the page that shows the pictures and can change nothing."""
        return f"http://127.0.0.1:{self.port}/#key={picture_key(self.token)}"


def picture_key(token: str) -> str:
    """The secret that opens the pictures and nothing else, made from the token.

    For programs that keep it in their own files, as OBS does; nobody can get the token from it.
    """
    import hashlib  # here: `edit` is to return at once
    import hmac

    return hmac.new(token.encode(), b"pictures", hashlib.sha256).hexdigest()[:32]


def runtime_path(environ: Mapping[str, str], platform: str = sys.platform) -> Path:
    """Folder of lock, token, port and log for this user; it need not exist yet."""
    if environ.get(RUNTIME_VARIABLE):
        return Path(environ[RUNTIME_VARIABLE])
    if platform in ("win32", "darwin"):
        return user_folder("state", environ, platform) / "run"
    if environ.get("XDG_RUNTIME_DIR"):
        return Path(environ["XDG_RUNTIME_DIR"]) / OURS
    import tempfile

    return Path(tempfile.gettempdir()) / f"{OURS}-{os.getuid()}"


class DaemonLock:
    """Held by the one daemon of a runtime folder. One thread owns it; also a context manager."""

    def __init__(
        self,
        folder: Path,
        token: str | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take the lock and write the token, None = a fresh one.

        Raises ControlError if another daemon holds it.
        """
        open_folder(folder)
        self.folder = folder
        self.token = token or os.urandom(32).hex()
        self._descriptor: int | None = None
        with told(folder):
            self._descriptor = self._take(sleep)
            try:
                write_private(folder / "token", self.token)
                self._write_address(port=0)
            except OSError:
                self.release()
                raise

    def publish(self, port: int) -> DaemonAddress:
        """Tell clients that the control plane answers on ``port`` from now on.

        Raises ControlError where the folder has become full or read-only.
        """
        with told(self.folder):
            self._write_address(port)
        return self.address(port)

    def address(self, port: int) -> DaemonAddress:
        """Address of this daemon with its control plane on ``port``."""
        return DaemonAddress(pid=os.getpid(), port=port, token=self.token)

    def change_token(self, token: str) -> None:
        """Let clients find another token from now on. Raises ControlError."""
        with told(self.folder):
            write_private(self.folder / "token", token)
        self.token = token

    def release(self) -> None:
        """Remove token, address and lock. May be called twice."""
        if self._descriptor is None:
            return
        for name in ("token", "daemon.json"):
            (self.folder / name).unlink(missing_ok=True)
        descriptor, self._descriptor = self._descriptor, None
        give_up(descriptor, self.folder / "lock")

    def __enter__(self) -> DaemonLock:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def _take(self, sleep: Callable[[float], None]) -> int:
        for _ in range(LOCK_TRIES):
            descriptor = locked(self.folder / "lock")
            if descriptor is not None:
                return descriptor
            sleep(0.02)
        raise _running_already(self.folder)

    def _write_address(self, port: int) -> None:
        write_private(self.folder / "daemon.json", json.dumps({"pid": os.getpid(), "port": port}))


class StartNote:
    """Names the process that is to become the daemon until it holds the lock itself.

    So ``stop`` finds it from its first moment on. Held by ``start``; one left by a ``start`` that
    was killed counts no more. Also a context manager.
    """

    def __init__(self, folder: Path) -> None:
        """Begin a start, in this process. Raises ControlError while another one is under way."""
        open_folder(folder)
        self._folder = folder
        with told(folder):
            self._descriptor = locked(folder / "start.lock")
        if self._descriptor is None:
            raise ControlError(
                "another `liveedit-cam start` is under way.",
                hint="Wait for it, or end it with `liveedit-cam stop`.",
            )
        pass_start_on(folder, os.getpid())

    def __enter__(self) -> StartNote:
        return self

    def __exit__(self, *error: object) -> None:
        descriptor, self._descriptor = self._descriptor, None
        (self._folder / "start.pid").unlink(missing_ok=True)
        give_up(descriptor, self._folder / "start.lock")


def pass_start_on(folder: Path, pid: int) -> None:
    """Name another process in the note that this one's StartNote holds. Raises ControlError."""
    with told(folder):
        write_private(folder / "start.pid", str(pid))


def read_starting(folder: Path) -> int | None:
    """The process that is just becoming the daemon of this folder; None where there is none.

    That is a ``start``, what it has launched, or one that holds the lock and opens its devices.
    """
    address = read_address(folder)
    if address is not None:
        is_opening = address.port == 0 and is_held(folder / "lock")
        return address.pid if is_opening else None
    try:
        pid = int((folder / "start.pid").read_text("utf-8"))
    except (OSError, ValueError):  # none, or one that is written or removed this very moment
        return None
    return pid if is_held(folder / "start.lock") else None


def is_daemon(folder: Path, pid: int) -> bool:
    """Whether that process holds this folder and lives. Raises ControlError."""
    address = read_address(folder)
    return address is not None and address.pid == pid and is_held(folder / "lock")


def read_address(folder: Path) -> DaemonAddress | None:
    """Address the daemon of this folder left, None where there is none. Raises ControlError.

    A daemon that was killed leaves its address behind; only a call shows whether it is there.
    """
    try:
        found = json.loads((folder / "daemon.json").read_text("utf-8"))
        token = (folder / "token").read_text("utf-8")
        return DaemonAddress(pid=int(found["pid"]), port=int(found["port"]), token=token)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ControlError(
            f"the address file in {folder} cannot be read: {error!r}.",
            hint="Stop liveedit-cam, remove that folder and start it again.",
        ) from error


def _running_already(folder: Path) -> ControlError:
    address = read_address(folder)
    if address is None:
        who = "another one is just starting or ending"
    elif address.port == 0:
        who = f"process {address.pid} is just starting"
    else:
        who = f"process {address.pid} on port {address.port}"
    return ControlError(
        f"one runs already: {who}.",
        hint="Use it with `liveedit-cam edit`, or end it first with `liveedit-cam stop`.",
    )
