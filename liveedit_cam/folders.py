"""Where models lie: those shipped with the package, and those a user has pulled."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

MODELS_VARIABLE = "LIVEEDIT_CAM_MODELS_DIR"
"""Environment variable that moves the user's folder of models, say to a larger disk."""


def shipped_models() -> Path:
    """Folder of the models and model cards in the installed package, else in the checkout."""
    package = Path(__file__).resolve().parent
    shipped = package / "_models"
    return shipped if shipped.is_dir() else package.parent / "models"


def user_models(environ: Mapping[str, str], platform: str = sys.platform) -> Path:
    """Folder of the models this user has pulled; it need not exist."""
    if environ.get(MODELS_VARIABLE):
        return Path(environ[MODELS_VARIABLE]).expanduser()
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    if platform == "win32":
        folder = Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif platform == "darwin":
        folder = home / "Library" / "Application Support"
    else:
        folder = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return folder / "liveedit-cam" / "models"
