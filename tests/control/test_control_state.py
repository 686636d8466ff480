"""The runtime folder: private, one daemon only, nothing left behind."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from liveedit_cam.control.private_files import open_folder
from liveedit_cam.control.state import (
    DaemonAddress,
    DaemonLock,
    StartNote,
    is_daemon,
    pass_start_on,
    picture_key,
    read_address,
    read_starting,
    runtime_path,
)
from liveedit_cam.errors import ControlError

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="file modes are POSIX")


def no_sleep(seconds: float) -> None:
    """The tests decide what happens while the lock waits: nothing."""


@posix_only
def test_only_the_owner_can_read_folder_and_token(tmp_path: Path) -> None:
    """Catches a token that another user of the computer can read."""
    folder = tmp_path / "run"
    with DaemonLock(folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        for name in ("token", "daemon.json", "lock"):
            assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600, name


@posix_only
def test_a_folder_open_to_others_is_closed(tmp_path: Path) -> None:
    """Catches trusting a folder of ours that was made with a loose umask."""
    tmp_path.chmod(0o755)
    open_folder(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


@posix_only
def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    """Catches following a link that another user planted in the shared temporary folder."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ControlError, match=r"not a folder of yours.*LIVEEDIT_CAM_RUNTIME_DIR"):
        open_folder(tmp_path / "run")


@pytest.mark.skipif(sys.platform == "win32" or os.getuid() != 0, reason="only root gives away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    """Catches writing the token where its owner is somebody else."""
    os.chown(tmp_path, 12345, -1)
    with pytest.raises(ControlError, match="owner 12345"):
        open_folder(tmp_path)


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    """Catches a bare OSError where the user needs to know which path is wrong."""
    (tmp_path / "run").write_text("")
    with pytest.raises(ControlError, match="cannot be made"):
        DaemonLock(tmp_path / "run")


def test_release_removes_everything(tmp_path: Path) -> None:
    """Catches an address that outlives its daemon, and a release that fails the second time."""
    lock = DaemonLock(tmp_path)
    lock.publish(8642)
    lock.release()
    lock.release()
    assert list(tmp_path.iterdir()) == []
    assert read_address(tmp_path) is None


def test_the_address_is_what_was_published(tmp_path: Path) -> None:
    """Catches a client that would call another port or show another token."""
    with DaemonLock(tmp_path) as lock:
        before = read_address(tmp_path)
        assert before == DaemonAddress(pid=os.getpid(), port=0, token=lock.token)
        published = lock.publish(8642)
        assert read_address(tmp_path) == published
        assert published.page_url == f"http://127.0.0.1:8642/#token={lock.token}"
        assert published.pictures_url == f"http://127.0.0.1:8642/#key={picture_key(lock.token)}"
        assert lock.token not in published.pictures_url


def test_each_run_has_its_own_token(tmp_path: Path) -> None:
    """Catches a token that a program which saw an earlier run could use again."""
    with DaemonLock(tmp_path) as first:
        pass
    with DaemonLock(tmp_path) as second:
        assert first.token != second.token


def test_a_second_daemon_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    """Catches two daemons on one camera, and a refused one that removes the first one's files."""
    with DaemonLock(tmp_path) as first:
        address = first.publish(8642)
        with pytest.raises(ControlError, match=rf"process {os.getpid()} on port 8642.*stop"):
            DaemonLock(tmp_path, sleep=no_sleep)
        assert read_address(tmp_path) == address


def test_a_lock_given_up_meanwhile_is_taken(tmp_path: Path) -> None:
    """Catches locking a file that its last holder has just removed: two could then hold "it"."""
    first = DaemonLock(tmp_path)

    def release_first(seconds: float) -> None:
        first.release()

    with DaemonLock(tmp_path, sleep=release_first) as second:
        assert (tmp_path / "lock").exists()
        assert read_address(tmp_path) is not None
        assert second.token


@pytest.mark.parametrize("ends_how", ["killed", "alive"])
def test_the_lock_follows_the_life_of_its_process(tmp_path: Path, ends_how: str) -> None:
    """Catches a stale file that keeps everybody out, and a living daemon that keeps nobody out."""
    code = (
        "import sys, pathlib; from liveedit_cam.control.state import DaemonLock;"
        "DaemonLock(pathlib.Path(sys.argv[1])).publish(4711); print('held', flush=True);"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        if ends_how == "alive":
            with pytest.raises(ControlError, match=f"process {other.pid} on port 4711"):
                DaemonLock(tmp_path, sleep=no_sleep)
        other.kill()
        other.wait()
    left = read_address(tmp_path)
    assert left is not None
    assert left.port == 4711  # the killed one could not clean up
    with DaemonLock(tmp_path, sleep=no_sleep) as lock:
        assert read_address(tmp_path) == DaemonAddress(os.getpid(), 0, lock.token)


def test_a_start_is_known_from_its_first_moment(tmp_path: Path) -> None:
    """Issue 15: a stop one second after a start said "nothing is running", then it went live."""
    assert read_starting(tmp_path) is None
    with StartNote(tmp_path):
        assert read_starting(tmp_path) == os.getpid()
        pass_start_on(tmp_path, 4711)
        assert read_starting(tmp_path) == 4711
        with pytest.raises(ControlError, match=r"another .* is under way"):
            StartNote(tmp_path)
        with DaemonLock(tmp_path) as lock:
            assert read_starting(tmp_path) == os.getpid()
            assert is_daemon(tmp_path, os.getpid())
            lock.publish(8642)
            assert read_starting(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_note_of_the_dead_names_nobody(tmp_path: Path) -> None:
    """Catches a stop that ends a stranger who got the number of a start killed long ago."""
    (tmp_path / "start.pid").write_text(str(os.getpid()))
    (tmp_path / "start.lock").write_text("")
    assert read_starting(tmp_path) is None
    (tmp_path / "start.pid").unlink()
    (tmp_path / "token").write_text("t")
    (tmp_path / "daemon.json").write_text('{"pid": 4711, "port": 0}')
    (tmp_path / "lock").write_text("")
    assert read_starting(tmp_path) is None
    assert not is_daemon(tmp_path, 4711)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's full device")
@pytest.mark.parametrize("name", ["token", "daemon.json"])
def test_a_full_folder_is_one_message(tmp_path: Path, name: str) -> None:
    """Catches a traceback, and a lock that stays although the daemon did not start."""
    (tmp_path / f"{name}.{os.getpid()}").symlink_to("/dev/full")
    with pytest.raises(ControlError, match=r"cannot be written: No space left.*RUNTIME_DIR"):
        DaemonLock(tmp_path)
    DaemonLock(tmp_path).release()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_becomes_unwritable_is_one_message(tmp_path: Path) -> None:
    """Catches a traceback once the devices are open and the address is to be written."""
    with DaemonLock(tmp_path) as lock:
        (tmp_path / f"daemon.json.{os.getpid()}").mkdir()
        with pytest.raises(ControlError, match="cannot be written: Is a directory"):
            lock.publish(8642)
        (tmp_path / f"daemon.json.{os.getpid()}").rmdir()


def test_a_broken_address_says_what_to_do(tmp_path: Path) -> None:
    """Catches a JSON traceback in front of a user."""
    (tmp_path / "token").write_text("t")
    (tmp_path / "daemon.json").write_text("{")
    with pytest.raises(ControlError, match=r"cannot be read.*remove that folder"):
        read_address(tmp_path)


@pytest.mark.parametrize(
    ("environ", "platform", "expected"),
    [
        ({"LIVEEDIT_CAM_RUNTIME_DIR": "/a"}, "linux", Path("/a")),
        ({"XDG_RUNTIME_DIR": "/run/user/7"}, "linux", Path("/run/user/7/liveedit-cam")),
        ({"LOCALAPPDATA": "/L"}, "win32", Path("/L/liveedit-cam/run")),
        ({}, "darwin", Path.home() / "Library/Application Support/liveedit-cam/run"),
    ],
)
def test_each_system_has_its_place(environ: dict[str, str], platform: str, expected: Path) -> None:
    """Catches daemon and client looking in two folders, and an ignored override."""
    assert runtime_path(environ, platform) == expected


@posix_only
def test_without_a_runtime_folder_the_temporary_one_is_per_user() -> None:
    """Catches two users of one computer sharing one folder."""
    assert runtime_path({}, "linux").name == f"liveedit-cam-{os.getuid()}"
