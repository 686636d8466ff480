"""Where the password of obs-websocket comes from. Knows files and variables, no connection.

The first that has one wins: the user's own word (flag or configuration), the environment, the
keyring, and for an OBS of this user on this machine the file in which OBS itself keeps it.
"""

from __future__ import annotations

import configparser
import importlib
import ipaddress
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from liveedit_cam.folders import home_folder, user_folder

VARIABLE = "LIVEEDIT_CAM_OBS_PASSWORD"
"""The environment variable."""
KEYRING_SERVICE, KEYRING_USER = "liveedit-cam", "obs"
"""The entry: ``keyring set liveedit-cam obs``."""

_SECTION = "OBSWebSocket"
_FLATPAK = ".var/app/com.obsproject.Studio/config/obs-studio"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ObsPassword:
    """A password and where it was found; only the second may be shown."""

    value: str = field(repr=False)
    """"" = none."""
    origin: str
    """For people: "configuration", the variable's name, "keyring", a path, "none found"."""


def read_keyring(service: str, user: str) -> str | None:
    """An entry of the system's keyring; None without entry, keyring or the package ``keyring``."""
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        return None
    try:
        found: str | None = keyring.get_password(service, user)
    except keyring.errors.NoKeyringError:
        return None
    except keyring.errors.KeyringError as error:
        _log.warning("The keyring cannot be read (%s).", type(error).__name__)
        return None
    return found


def resolve_password(
    explicit: str | None,
    environ: Mapping[str, str],
    host: str,
    *,
    platform: str = sys.platform,
    keyring: Callable[[str, str], str | None] = read_keyring,
) -> ObsPassword:
    """The password for the OBS at ``host``; ``explicit`` None = not given, "" = none wanted.

    Never raises: a file that cannot be read is said in the log and passed over.
    """
    if explicit is not None:
        return ObsPassword(explicit, "configuration")
    if environ.get(VARIABLE):
        return ObsPassword(environ[VARIABLE], VARIABLE)
    if stored := keyring(KEYRING_SERVICE, KEYRING_USER):
        return ObsPassword(stored, "keyring")
    if _is_this_machine(host):
        for path in obs_settings_paths(environ, platform):
            own = _from_obs(path)
            if own is not None:
                return ObsPassword(own, str(path))
    return ObsPassword("", "none found")


def obs_settings_paths(environ: Mapping[str, str], platform: str = sys.platform) -> Iterator[Path]:
    """Where an OBS of this user keeps the settings of its WebSocket server, newest kind first."""
    folders = [user_folder("config", environ, platform, "obs-studio")]
    if platform not in ("win32", "darwin"):
        folders.append(home_folder(environ) / _FLATPAK)
    yield from (folder / "plugin_config" / "obs-websocket" / "config.json" for folder in folders)
    yield from (folder / "global.ini" for folder in folders)  # OBS 28 to 30


def _is_this_machine(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _from_obs(path: Path) -> str | None:
    """What OBS wants by its own file, "" where it asks for none; None where it does not say."""
    try:
        text = path.read_text("utf-8-sig")  # OBS on Windows begins the file with a mark
        return _from_json(text) if path.suffix == ".json" else _from_ini(text)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, configparser.Error) as error:
        # Not str(error): a parser quotes the line, and that may be the password.
        _log.warning("OBS's own settings %s cannot be read (%s).", path, type(error).__name__)
        return None


def _from_json(text: str) -> str | None:
    settings = json.loads(text)
    if not settings["auth_required"]:
        return ""
    return str(settings["server_password"]) or None


def _from_ini(text: str) -> str | None:
    parser = configparser.ConfigParser(
        delimiters=("=",), interpolation=None, strict=False, allow_no_value=True
    )
    parser.read_string(text)
    if not parser.has_section(_SECTION):
        return None
    if not parser.getboolean(_SECTION, "AuthRequired", fallback=True):
        return ""
    stored = parser.get(_SECTION, "ServerPassword", fallback=None)
    return stored.replace("\\\\", "\\") if stored else None
