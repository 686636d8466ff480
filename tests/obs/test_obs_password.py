"""Where the password of OBS is found, and that it is shown nowhere."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from liveedit_cam.obs.password import (
    VARIABLE,
    ObsPassword,
    obs_settings_paths,
    resolve_password,
)

JSON = Path("plugin_config/obs-websocket/config.json")
INI = Path("global.ini")
INI_TEXT = """[General]
FirstRun=true
strange line without a value

[OBSWebSocket]
ServerEnabled=true
AuthRequired={auth}
ServerPassword={password}
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write(relative, text)``: a file of OBS under this user's settings, on Linux."""

    def write(relative: Path, text: str, folder: str = ".config/obs-studio") -> Path:
        path = tmp_path / folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    return write


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path)}


def no_keyring(service: str, user: str) -> str | None:
    return None


def find(environ: dict[str, str], host: str = "127.0.0.1") -> ObsPassword:
    """With nothing given and no keyring, on Linux."""
    return resolve_password(None, environ, host, platform="linux", keyring=no_keyring)


def settings(password: str, *, auth: bool = True) -> str:
    return json.dumps({"auth_required": auth, "server_password": password, "server_port": 4455})


def test_the_first_that_has_one_wins(environ: dict[str, str], write: Write) -> None:
    """Catches an order turned round: the nearer a word is to the user, the more it counts."""
    path = write(JSON, settings("of obs"))
    full = {**environ, VARIABLE: "of the environment"}

    def keyring(service: str, user: str) -> str | None:
        assert (service, user) == ("liveedit-cam", "obs")
        return "of the keyring"

    found = [
        resolve_password("given", full, "localhost", platform="linux", keyring=keyring),
        resolve_password(None, full, "localhost", platform="linux", keyring=keyring),
        resolve_password(None, environ, "localhost", platform="linux", keyring=keyring),
        resolve_password(None, environ, "localhost", platform="linux", keyring=no_keyring),
    ]
    assert found == [
        ObsPassword("given", "configuration"),
        ObsPassword("of the environment", VARIABLE),
        ObsPassword("of the keyring", "keyring"),
        ObsPassword("of obs", str(path)),
    ]


def test_an_empty_password_given_means_none(environ: dict[str, str], write: Write) -> None:
    """Catches "no password" taken for "not given"."""
    write(JSON, settings("of obs"))
    found = resolve_password("", environ, "localhost", platform="linux", keyring=no_keyring)
    assert found == ObsPassword("", "configuration")


def test_nothing_found_says_so(environ: dict[str, str]) -> None:
    """Catches an error where OBS may well need no password, and an empty variable taken for one."""
    assert find({**environ, VARIABLE: ""}) == ObsPassword("", "none found")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.2", "::1"])
def test_the_file_of_obs_counts_for_this_machine(
    environ: dict[str, str], write: Write, host: str
) -> None:
    """Catches a way of writing this machine that is taken for another one."""
    write(JSON, settings("of obs"))
    assert find(environ, host).value == "of obs"


@pytest.mark.parametrize("host", ["192.168.1.20", "studio-pc", "127.0.0.1.example.org"])
def test_the_file_of_obs_is_not_sent_to_another_machine(
    environ: dict[str, str], write: Write, host: str
) -> None:
    """Catches this machine's password offered to whoever listens elsewhere."""
    write(JSON, settings("of obs"))
    assert find(environ, host) == ObsPassword("", "none found")


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_older_file_is_read_too(environ: dict[str, str], write: Write, mark: str) -> None:
    """Catches a password with characters that mean something to a parser, OBS's doubled backslash,
    and the mark that OBS on Windows begins the file with."""
    path = write(INI, mark + INI_TEXT.format(auth="true", password="a%b=c;d#e\\\\f"))
    assert find(environ) == ObsPassword("a%b=c;d#e\\f", str(path))


def test_the_newer_file_wins_over_the_older(environ: dict[str, str], write: Write) -> None:
    """Catches the password of before the update of OBS."""
    write(INI, INI_TEXT.format(auth="true", password="old"))
    write(JSON, settings("new"))
    assert find(environ).value == "new"


def test_an_obs_that_asks_for_none_is_told_from_one_unknown(
    environ: dict[str, str], write: Write
) -> None:
    """Catches an old password sent to an OBS whose user switched the question off."""
    path = write(JSON, settings("unused", auth=False))
    assert find(environ) == ObsPassword("", str(path))
    path.unlink()
    path = write(INI, INI_TEXT.format(auth="false", password="unused"))
    assert find(environ) == ObsPassword("", str(path))


def test_the_flatpak_of_obs_is_found(environ: dict[str, str], write: Write) -> None:
    """Catches the second most common OBS on Linux left out."""
    write(JSON, settings("of the flatpak"), ".var/app/com.obsproject.Studio/config/obs-studio")
    assert find(environ).value == "of the flatpak"


@pytest.mark.parametrize(
    ("platform", "environ", "folder"),
    [
        ("linux", {"HOME": "/h"}, "/h/.config/obs-studio"),
        ("linux", {"HOME": "/h", "XDG_CONFIG_HOME": "/x"}, "/x/obs-studio"),
        ("win32", {"HOME": "/h", "APPDATA": "/a"}, "/a/obs-studio"),
        ("darwin", {"HOME": "/h"}, "/h/Library/Application Support/obs-studio"),
    ],
)
def test_each_system_keeps_the_settings_elsewhere(
    platform: str, environ: dict[str, str], folder: str
) -> None:
    """Catches a folder of the wrong system; these are the ones OBS documents."""
    assert next(obs_settings_paths(environ, platform)) == Path(folder) / JSON


@pytest.mark.parametrize(
    ("relative", "text"),
    [
        (JSON, "hunter2 {"),
        (JSON, '["hunter2"]'),
        (JSON, '{"server_password": "hunter2"}'),
        (INI, "hunter2\n"),
        (INI, "[OBSWebSocket]\nAuthRequired=hunter2\n"),
    ],
)
def test_a_broken_file_is_said_without_its_words_and_passed_over(
    environ: dict[str, str],
    write: Write,
    caplog: pytest.LogCaptureFixture,
    relative: Path,
    text: str,
) -> None:
    """Catches a traceback for a file that is not ours, a silent one, and a parser that quotes the
    line with the password."""
    path = write(relative, text)
    assert find(environ) == ObsPassword("", "none found")
    assert str(path) in caplog.text
    assert "hunter2" not in caplog.text


def test_a_file_without_a_password_is_passed_over(environ: dict[str, str], write: Write) -> None:
    """Catches an OBS whose server was never switched on taken for one without a password."""
    write(JSON, settings(""))
    write(INI, "[General]\nFirstRun=true\n")
    assert find(environ) == ObsPassword("", "none found")


def test_a_password_is_in_no_repr_and_no_log(
    environ: dict[str, str], write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    """Catches a status line, a traceback or a log that shows it."""
    caplog.set_level(logging.DEBUG)
    write(JSON, settings("correct-horse"))
    found = find(environ)
    assert found.value == "correct-horse"
    assert "correct-horse" not in repr(found) + caplog.text
