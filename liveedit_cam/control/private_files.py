"""Files of one user, in a folder nobody else can read, and locks that end with their process.

Knows no daemon.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from liveedit_cam.errors import ControlError
from liveedit_cam.files import replace_text

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

RUNTIME_VARIABLE = "LIVEEDIT_CAM_RUNTIME_DIR"
"""Environment variable that names the folder; unset = the platform's own place."""


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


@contextlib.contextmanager
def told(folder: Path) -> Iterator[None]:
    """Make a folder that is full or read-only one message to the user, a ControlError."""
    try:
        yield
    except OSError as error:
        raise ControlError(
            f"the folder {folder} cannot be written: {error.strerror or error}.",
            hint=f"Make room or give yourself access, or set {RUNTIME_VARIABLE} to another folder.",
        ) from error


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step, readable by its owner only."""
    replace_text(path, text, mode=0o600)


def locked(path: Path) -> int | None:
    """Descriptor of the lock file, made where it is missing; None where somebody holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if _lock(descriptor) and _is_same_file(descriptor, path):
        return descriptor
    os.close(descriptor)
    return None


def give_up(descriptor: int | None, path: Path) -> None:
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


def is_held(path: Path) -> bool:
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
