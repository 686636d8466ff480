"""Where a running daemon leaves its address: a private folder with a lock, a token and a port.

The folder belongs to one user (mode 0700). The lock is held by the operating system for as long as
the daemon lives, so a lock file left by a killed process is simply taken over. Knows no HTTP.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from liveedit_cam.errors import ControlError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

RUNTIME_VARIABLE = "LIVEEDIT_CAM_RUNTIME_DIR"
"""Environment variable that names the folder; unset = the platform's own place."""

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
    """Secret of this run; whoever has it may control the daemon."""

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
    """The secret that opens the pictures of a run and nothing else, made from the run's token.

    For programs that keep it in their own files, as OBS does; nobody can get the token from it.
    """
    return hmac.new(token.encode(), b"pictures", hashlib.sha256).hexdigest()[:32]


def runtime_path(environ: Mapping[str, str], platform: str = sys.platform) -> Path:
    """Folder of lock, token, port and log for this user; it need not exist yet."""
    if environ.get(RUNTIME_VARIABLE):
        return Path(environ[RUNTIME_VARIABLE])
    if platform == "win32":
        local = environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
        return Path(local) / "liveedit-cam" / "run"
    if platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "liveedit-cam" / "run"
    if environ.get("XDG_RUNTIME_DIR"):
        return Path(environ["XDG_RUNTIME_DIR"]) / "liveedit-cam"
    return Path(tempfile.gettempdir()) / f"liveedit-cam-{os.getuid()}"


def open_folder(folder: Path) -> None:
    """Create the folder for this user alone, or check that it is so. Raises ControlError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise ControlError(
            f"the runtime folder {folder} cannot be made: {error.strerror or error}.",
            hint=f"Set {RUNTIME_VARIABLE} to a folder you may write.",
        ) from error
    if sys.platform == "win32":  # access there follows the user's profile folder
        return
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ControlError(
            f"the runtime folder {folder} is not a folder of yours (owner {found.st_uid}, you are"
            f" {os.getuid()}).",
            hint=f"Remove it or set {RUNTIME_VARIABLE} to a folder of your own.",
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        folder.chmod(0o700)


class DaemonLock:
    """Held by the one daemon of a runtime folder. One thread owns it; also a context manager."""

    def __init__(self, folder: Path, *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Take the lock and write a fresh token. Raises ControlError if another daemon holds it."""
        open_folder(folder)
        self.folder = folder
        self.token = secrets.token_urlsafe(32)
        self._descriptor: int | None = None
        with _told(folder):
            self._descriptor = self._take(sleep)
            try:
                _write_private(folder / "token", self.token)
                self._write_address(port=0)
            except OSError:
                self.release()
                raise

    def publish(self, port: int) -> DaemonAddress:
        """Tell clients that the control plane answers on ``port`` from now on.

        Raises ControlError where the folder has become full or read-only.
        """
        with _told(self.folder):
            self._write_address(port)
        return DaemonAddress(pid=os.getpid(), port=port, token=self.token)

    def release(self) -> None:
        """Remove token, address and lock. May be called twice."""
        if self._descriptor is None:
            return
        for name in ("token", "daemon.json"):
            (self.folder / name).unlink(missing_ok=True)
        descriptor, self._descriptor = self._descriptor, None
        _give_up(descriptor, self.folder / "lock")

    def __enter__(self) -> DaemonLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _take(self, sleep: Callable[[float], None]) -> int:
        for _ in range(LOCK_TRIES):
            descriptor = _locked(self.folder / "lock")
            if descriptor is not None:
                return descriptor
            sleep(0.02)
        raise _running_already(self.folder)

    def _write_address(self, port: int) -> None:
        _write_private(self.folder / "daemon.json", json.dumps({"pid": os.getpid(), "port": port}))


class StartNote:
    """Names the process that is to become the daemon until it holds the lock itself.

    So ``stop`` finds it from its first moment on. Held by ``start``; one left by a ``start`` that
    was killed counts no more. Also a context manager.
    """

    def __init__(self, folder: Path) -> None:
        """Begin a start, in this process. Raises ControlError while another one is under way."""
        open_folder(folder)
        self._folder = folder
        with _told(folder):
            self._descriptor = _locked(folder / "start.lock")
        if self._descriptor is None:
            raise ControlError(
                "another `liveedit-cam start` is under way.",
                hint="Wait for it, or end it with `liveedit-cam stop`.",
            )
        pass_start_on(folder, os.getpid())

    def __enter__(self) -> StartNote:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        descriptor, self._descriptor = self._descriptor, None
        (self._folder / "start.pid").unlink(missing_ok=True)
        _give_up(descriptor, self._folder / "start.lock")


def pass_start_on(folder: Path, pid: int) -> None:
    """Name another process in the note that this one's StartNote holds. Raises ControlError."""
    with _told(folder):
        _write_private(folder / "start.pid", str(pid))


def read_starting(folder: Path) -> int | None:
    """The process that is just becoming the daemon of this folder; None where there is none.

    That is a ``start``, what it has launched, or one that holds the lock and opens its devices.
    """
    address = read_address(folder)
    if address is not None:
        is_opening = address.port == 0 and _is_held(folder / "lock")
        return address.pid if is_opening else None
    try:
        pid = int((folder / "start.pid").read_text("utf-8"))
    except (OSError, ValueError):  # none, or one that is written or removed this very moment
        return None
    return pid if _is_held(folder / "start.lock") else None


def is_daemon(folder: Path, pid: int) -> bool:
    """Whether that process holds this folder and lives. Raises ControlError."""
    address = read_address(folder)
    return address is not None and address.pid == pid and _is_held(folder / "lock")


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


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[None]:
    """A folder that is full or read-only is one message to the user."""
    try:
        yield
    except OSError as error:
        raise ControlError(
            f"the runtime folder {folder} cannot be written: {error.strerror or error}.",
            hint=f"Make room or give yourself access, or set {RUNTIME_VARIABLE} to another folder.",
        ) from error


def _write_private(path: Path, text: str) -> None:
    """Replace a file in one step, readable by its owner only."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _locked(path: Path) -> int | None:
    """Descriptor of the lock file, made where it is missing; None where somebody holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if _lock(descriptor) and _is_same_file(descriptor, path):
        return descriptor
    os.close(descriptor)
    return None


def _give_up(descriptor: int | None, path: Path) -> None:
    """Remove a lock file that is held; nothing where it is not."""
    if descriptor is None:
        return
    if sys.platform == "win32":  # an open file cannot be removed there
        os.close(descriptor)
        with contextlib.suppress(OSError):  # the next one may hold it already
            path.unlink(missing_ok=True)
    else:  # removed while still held, so that nobody locks a file about to vanish
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _is_held(path: Path) -> bool:
    """Whether a living process holds that lock."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        return not _lock(descriptor)
    finally:
        os.close(descriptor)


def _is_same_file(descriptor: int, path: Path) -> bool:
    """Whether ``path`` still names the open file; False if its last holder removed it meanwhile."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _lock(descriptor: int) -> bool:
    """Take the exclusive lock of an open file without waiting; False if somebody holds it."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
