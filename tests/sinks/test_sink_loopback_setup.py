"""Finding the loopback device that was meant, and what users are told where there is none."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("v4l2loopback is for Linux", allow_module_level=True)

from fake_loopback import DEVICES, tree

from liveedit_cam.errors import SinkError
from liveedit_cam.sinks import _loopback_setup as setup
from liveedit_cam.sinks._loopback_setup import Setup


def test_the_devices_of_the_driver_are_found(tmp_path: Path) -> None:
    """Catches webcams among them, and /dev/video10 before /dev/video9."""
    assert setup.loopbacks(tree(tmp_path)) == DEVICES


@pytest.mark.parametrize(
    ("target", "paths"),
    [
        ("", ["/dev/video9", "/dev/video10", "/dev/video8"]),
        ("liveedit", ["/dev/video9"]),
        ("LiveEdit 2", ["/dev/video10"]),
        ("dummy", ["/dev/video8"]),
        ("8", ["/dev/video8"]),
        ("/dev/video10", ["/dev/video10"]),
        ("/dev/video42", ["/dev/video42"]),
    ],
)
def test_label_path_and_number_choose(target: str, paths: list[str]) -> None:
    """Catches a label that must be whole where one begins another, and ours not tried first."""
    assert [device.path for device in setup.choose(target, DEVICES)] == paths


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("Zoom", r"No virtual camera is called 'Zoom'.*LiveEdit 2 \(/dev/video10\)"),
        ("edit", r"Several.*LiveEdit \(/dev/video9\), LiveEdit 2"),
    ],
)
def test_an_unclear_label_lists_the_labels(target: str, said: str) -> None:
    """Catches a message after which the user must look for the names elsewhere."""
    with pytest.raises(SinkError, match=said):
        setup.choose(target, DEVICES)


def test_the_group_of_the_node_is_named() -> None:
    """Catches advice about the group 'video' where the node belongs to another."""
    error = setup.os_error("/dev/video9", PermissionError(), "plugdev", DEVICES)
    assert "group 'plugdev'" in str(error)
    assert error.hint is not None
    assert "usermod -aG plugdev" in error.hint


INSTALLED = Setup(
    is_installed=True,
    is_built_elsewhere=False,
    is_loaded=False,
    is_secure_boot=False,
    install_command="sudo apt install x",
)
LOAD = "sudo modprobe v4l2loopback exclusive_caps=1"


@pytest.mark.parametrize(
    ("found", "said", "unsaid"),
    [
        (INSTALLED, ("installed, but not loaded", LOAD), ("apt install", "Secure Boot")),
        (replace(INSTALLED, is_installed=False), ("apt install x", LOAD), ("Secure Boot",)),
        (
            replace(INSTALLED, is_secure_boot=True),
            ("Key was rejected by service", "mokutil --import", LOAD),
            ("apt install",),
        ),
        (
            replace(INSTALLED, is_installed=False, is_built_elsewhere=True),
            ("not built for the kernel that runs", "dkms status", "0.15", "--sink pipewire", LOAD),
            ("apt install",),
        ),
        (replace(INSTALLED, is_loaded=True), ("has no device", "modprobe -r"), ("mokutil",)),
    ],
)
def test_a_missing_module_is_diagnosed(
    found: Setup, said: tuple[str, ...], unsaid: tuple[str, ...]
) -> None:
    """Catches one advice for four causes, and an installation that is there already."""
    text = str(setup.no_device_error(found))
    assert all(words in text for words in said), text
    assert not any(words in text for words in unsaid), text


def test_the_computer_is_read(tmp_path: Path) -> None:
    """Catches a module built for another kernel, and the flag of Secure Boot read as text."""
    modules = tmp_path / "lib/modules/6.1"
    modules.mkdir(parents=True)
    (modules / "modules.dep").write_text("updates/dkms/v4l2loopback.ko.xz: kernel/videodev.ko\n")
    flag = tmp_path / setup.SECURE_BOOT
    flag.parent.mkdir(parents=True)
    flag.write_bytes(b"\x06\x00\x00\x00\x01")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text("ID=linuxmint\nID_LIKE='ubuntu debian'\n")
    found = setup.look("6.1", tmp_path)
    assert (found.is_installed, found.is_loaded, found.is_secure_boot) == (True, False, True)
    assert "apt install v4l2loopback-dkms" in found.install_command
    flag.write_bytes(b"\x06\x00\x00\x00\x00")
    (tmp_path / "sys/module/v4l2loopback").mkdir(parents=True)
    other = setup.look("6.2", tmp_path)
    assert (other.is_installed, other.is_loaded, other.is_secure_boot) == (False, True, False)


@pytest.mark.parametrize(
    ("trace", "expected"),
    [
        ("usr/src/v4l2loopback-0.12.7/dkms.conf", True),
        ("lib/modules/6.1/modules.dep", True),
        ("usr/src/nvidia-550/dkms.conf", False),
    ],
)
def test_a_module_for_other_kernels_only_is_told(
    tmp_path: Path, trace: str, expected: bool
) -> None:
    """Catches advice to install what is installed, after a kernel it does not build for (issue
    15).
    """
    path = tmp_path / trace
    path.parent.mkdir(parents=True)
    path.write_text("updates/dkms/v4l2loopback.ko.zst:\n")
    found = setup.look("7.0", tmp_path)
    assert (found.is_installed, found.is_built_elsewhere) == (False, expected)
    assert not setup.look("6.1", tmp_path).is_built_elsewhere or "usr" in trace
