"""The token that opens the control page, or the model server: kept from run to run.

So a bookmark stays good. It lies in a file only its user can read, and in no cookie. Knows no HTTP.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from liveedit_cam.control.private_files import (
    RUNTIME_VARIABLE,
    open_folder,
    told,
    write_private,
)
from liveedit_cam.folders import user_folder

TOKEN_NAME = "page-token"
SERVE_TOKEN_NAME = "serve-token"
"""What opens the model server of this user, for cameras."""

_FORM = re.compile(r"[A-Za-z0-9_-]{32,128}")
_log = logging.getLogger(__name__)


def state_path(environ: Mapping[str, str], platform: str = sys.platform) -> Path:
    """Folder of what this user's runs leave for the next; it need not exist yet.

    A runtime folder of its own is a world of its own: the token lies there, too.
    """
    if environ.get(RUNTIME_VARIABLE):
        return Path(environ[RUNTIME_VARIABLE])
    return user_folder("state", environ, platform)


def kept_token(folder: Path, name: str = TOKEN_NAME) -> str:
    """The token of the runs before, else a new one, which is kept. Raises ControlError."""
    open_folder(folder)
    path = folder / name
    with told(folder):
        try:
            found = path.read_text("ascii")
            is_private = sys.platform == "win32" or _is_private(path)
        except FileNotFoundError:
            return new_token(folder, name)
        except UnicodeDecodeError:
            found, is_private = "", True
    if is_private and _FORM.fullmatch(found):
        return found
    reason = "others could read it" if not is_private else "it was damaged"
    _log.warning("The token in %s is replaced by a new one: %s.", path, reason)
    return new_token(folder, name)


def new_token(folder: Path, name: str = TOKEN_NAME) -> str:
    """Make another token and keep it; the one before opens nothing then. Raises ControlError."""
    open_folder(folder)
    token = secrets.token_urlsafe(32)
    with told(folder):
        write_private(folder / name, token)
    return token


def _is_private(path: Path) -> bool:
    found = path.lstat()
    is_ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid()
    return is_ours and not stat.S_IMODE(found.st_mode) & 0o077
