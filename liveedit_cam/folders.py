"""Where models lie, shipped or pulled, and where else the files of a user are.

The library platformdirs is not used: it reads the environment itself instead of one it is given,
asks Windows for folders that APPDATA and LOCALAPPDATA may move, and has other places than these for
what runs on macOS and without XDG_RUNTIME_DIR; to keep today's takes more lines than it saves.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

MODELS_VARIABLE = "LIVEEDIT_CAM_MODELS_DIR"
"""Environment variable that moves the user's folder of models, say to a larger disk."""
OURS = "liveedit-cam"

_PLACES = {
    "config": ("APPDATA", "AppData/Roaming", "XDG_CONFIG_HOME", ".config"),
    "data": ("LOCALAPPDATA", "AppData/Local", "XDG_DATA_HOME", ".local/share"),
    "state": ("LOCALAPPDATA", "AppData/Local", "XDG_STATE_HOME", ".local/state"),
}
"""Windows' variable and its usual value below the home folder, then those of Linux."""


def home_folder(environ: Mapping[str, str]) -> Path:
    """The user's own, by HOME where that is set."""
    return Path(environ["HOME"]) if environ.get("HOME") else Path.home()


def user_folder(
    kind: str, environ: Mapping[str, str], platform: str = sys.platform, program: str = OURS
) -> Path:
    """The folder of ``program`` for "config", "data" or "state" of this user; it need not exist."""
    home = home_folder(environ)
    windows, windows_default, xdg, xdg_default = _PLACES[kind]
    if platform == "win32":
        folder = Path(environ.get(windows) or home / windows_default)
    elif platform == "darwin":
        folder = home / "Library" / "Application Support"
    else:
        folder = Path(environ.get(xdg) or home / xdg_default)
    return folder / program


def shipped_models() -> Path:
    """Folder of the models and model cards in the installed package, else in the checkout."""
    package = Path(__file__).resolve().parent
    shipped = package / "_models"
    return shipped if shipped.is_dir() else package.parent / "models"


def user_models(environ: Mapping[str, str], platform: str = sys.platform) -> Path:
    """Folder of the models this user has pulled; it need not exist."""
    if environ.get(MODELS_VARIABLE):
        return Path(environ[MODELS_VARIABLE]).expanduser()
    return user_folder("data", environ, platform) / "models"
