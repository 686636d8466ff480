"""The token that stays: where it lies, who can read it, when it is replaced."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from liveedit_cam.control.token import TOKEN_NAME, kept_token, new_token, state_path
from liveedit_cam.errors import ControlError

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="file modes are POSIX")


def test_the_token_stays_until_a_new_one_is_made(tmp_path: Path) -> None:
    """Issue 20: a bookmark that is dead after each restart; and an old token that lives on."""
    first = kept_token(tmp_path / "state")
    assert kept_token(tmp_path / "state") == first
    second = new_token(tmp_path / "state")
    assert second != first
    assert kept_token(tmp_path / "state") == second


@posix_only
def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    """Catches a secret that stays for months where others can read it."""
    kept_token(tmp_path / "state")
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state" / TOKEN_NAME).stat().st_mode) == 0o600


@posix_only
def test_a_token_that_others_could_read_is_replaced(tmp_path: Path) -> None:
    """Catches trusting a copy from a backup with a loose mode: it may be known already."""
    first = kept_token(tmp_path)
    (tmp_path / TOKEN_NAME).chmod(0o644)
    second = kept_token(tmp_path)
    assert second != first
    assert stat.S_IMODE((tmp_path / TOKEN_NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize("text", [b"", b"short", b"\xff" * 43, b"a b" * 20, b"x" * 10_000])
def test_a_damaged_token_is_replaced(tmp_path: Path, text: bytes) -> None:
    """Catches an empty file after a full disk: an empty token would open the camera to anybody."""
    (tmp_path / TOKEN_NAME).write_bytes(text)
    (tmp_path / TOKEN_NAME).chmod(0o600)
    assert len(kept_token(tmp_path)) == 43


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """Catches a traceback where a file is in the way."""
    (tmp_path / "state").write_text("")
    with pytest.raises(ControlError, match="cannot be made"):
        kept_token(tmp_path / "state")


def test_a_runtime_folder_of_its_own_is_a_world_of_its_own() -> None:
    """Catches two daemons of one user that share a token: each page would control both."""
    home = {"HOME": "/home/ann"}
    assert state_path(home, "linux") == Path("/home/ann/.local/state/liveedit-cam")
    assert state_path({**home, "LIVEEDIT_CAM_RUNTIME_DIR": "/run/b"}, "linux") == Path("/run/b")
    assert state_path({**home, "XDG_STATE_HOME": "/s"}, "linux") == Path("/s/liveedit-cam")
