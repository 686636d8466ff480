"""Where models lie, shipped or pulled, and where else the files of a user are."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

MODELS_VARIABLE = "LIVEEDIT_CAM_MODELS_DIR"
"""Environment variable that moves the user's folder of models, say to a larger disk."""


_PLACES = {
    "config": ("APPDATA", "AppData/Roaming", "XDG_CONFIG_HOME", ".config"),
    "data": ("LOCALAPPDATA", "AppData/Local", "XDG_DATA_HOME", ".local/share"),
    "state": ("LOCALAPPDATA", "AppData/Local", "XDG_STATE_HOME", ".local/state"),
}
"""Windows' variable and its usual value below the home folder, then those of Linux."""


def user_folder(kind: str, environ: Mapping[str, str], platform: str = sys.platform) -> Path:
    """Our folder among this user's, for "config", "data" or "state"; it need not exist."""
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    windows, windows_default, xdg, xdg_default = _PLACES[kind]
    if platform == "win32":
        folder = Path(environ.get(windows) or home / windows_default)
    elif platform == "darwin":
        folder = home / "Library" / "Application Support"
    else:
        folder = Path(environ.get(xdg) or home / xdg_default)
    return folder / "liveedit-cam"


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
