"""What ``doctor`` finds of cameras and virtual cameras, and which commands it offers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from computers import APT_LIST, DEBIAN, LOAD, apt_offers, commands, computer, lens, loopback, one

from liveedit_cam.config import Config
from liveedit_cam.errors import SourceError
from liveedit_cam.setup import cameras, virtual_camera
from liveedit_cam.setup.computer import Seen, this_computer
from liveedit_cam.setup.findings import (
    Verdict,
    certain_fixes,
    ok,
)
from liveedit_cam.setup.virtual_camera import _too_old
from liveedit_cam.sinks._loopback_setup import SECURE_BOOT
from liveedit_cam.sources import _v4l2
from liveedit_cam.sources.camera import DeviceInfo
from liveedit_cam.types import Status


def test_a_bare_debian_gets_install_and_load_in_order(tmp_path: Path) -> None:
    """Catches a missing step: without lists apt finds no package, without loading no device."""
    bare = computer(tmp_path, {"etc/os-release": DEBIAN}, run=apt_offers("0.12.7-2"))
    (found,) = virtual_camera.virtual_camera(bare)
    assert found.verdict is Verdict.FAIL
    assert commands(found) == [
        "sudo apt-get update",
        "sudo apt-get install -y v4l2loopback-dkms linux-headers-$(uname -r)",
        f"sudo {LOAD}",
    ]
    assert all(fix.is_certain for fix in found.fixes)


def test_root_needs_no_sudo_and_known_lists_no_update(tmp_path: Path) -> None:
    """Catches sudo where there is none, as in a container, and an update at every run."""
    files = {"etc/os-release": DEBIAN, APT_LIST: ""}
    bare = computer(tmp_path, files, run=apt_offers("0.12.7-2"), is_root=True)
    (found,) = virtual_camera.virtual_camera(bare)
    assert commands(found)[0].startswith("apt-get install -y v4l2loopback-dkms")
    assert commands(found)[-1] == LOAD


def test_a_module_too_old_for_the_kernel_leads_to_pipewire(tmp_path: Path) -> None:
    """Catches advice to build what cannot be built (v4l2loopback issues 570 and 626)."""
    files = {"etc/os-release": DEBIAN, APT_LIST: ""}
    old = computer(
        tmp_path,
        files,
        run=apt_offers("0.12.7-2"),
        release="6.18.44",
        pipewire_problem=lambda: "PipeWire does not run.",
    )
    (found,) = virtual_camera.virtual_camera(old)
    assert found.verdict is Verdict.FAIL
    assert "0.12.7-2" in found.text
    assert "needs 0.15.2" in found.text
    assert not any("v4l2loopback" in command for command in commands(found))
    assert any("gstreamer1.0-pipewire" in command for command in commands(found))
    runs = computer(tmp_path, run=apt_offers("0.12.7-2"), release="6.18.44")
    (found,) = virtual_camera.virtual_camera(runs)
    assert found.verdict is Verdict.WARN
    assert commands(found) == ["liveedit-cam run --sink pipewire"]


@pytest.mark.parametrize("is_root", [False, True])
def test_a_module_of_another_kernel_is_built_signed_and_loaded(
    tmp_path: Path, is_root: bool
) -> None:
    """Catches an installation of what is installed, a build without headers, and sudo for root."""
    files = {
        "etc/os-release": DEBIAN,
        APT_LIST: "",
        "usr/src/v4l2loopback-0.15.3/dkms.conf": "",
        SECURE_BOOT: "\x06\x00\x00\x00\x01",
    }
    (found,) = virtual_camera.virtual_camera(computer(tmp_path, files, is_root=is_root))
    assert found.verdict is Verdict.FAIL
    assert found.text == (
        "v4l2loopback is installed, but not built for the kernel 6.1.0-56-amd64. "
        "Secure Boot is on: where loading is refused, enrol the key first"
    )
    sudo = "" if is_root else "sudo "
    assert commands(found) == [
        f"{sudo}apt-get install -y linux-headers-$(uname -r)",
        f"dkms status v4l2loopback; {sudo}dkms autoinstall",
        f"{sudo}{LOAD}",
        f"{sudo}mokutil --import /var/lib/dkms/mok.pub",
    ]
    assert [fix.is_certain for fix in found.fixes] == [True, True, True, False]
    assert found.fixes[-1].after == "restart and choose Enroll MOK"


@pytest.mark.parametrize(
    ("file", "text", "wanted"),
    [
        (
            "sys/module/v4l2loopback/version",
            "loaded, but has no device",
            ["modprobe -r v4l2loopback", LOAD],
        ),
        ("lib/modules/6.1.0-56-amd64/modules.dep", "installed, but not loaded", [LOAD]),
        ("etc/nothing", "not installed", [LOAD]),
    ],
)
def test_how_far_the_module_has_come_is_told(
    tmp_path: Path, file: str, text: str, wanted: list[str]
) -> None:
    """Catches a step said to be missing that was made, and a command for words of advice."""
    made = computer(tmp_path, {file: "updates/dkms/v4l2loopback.ko.xz:\n"})
    (found,) = virtual_camera.virtual_camera(made)
    assert found.text == f"v4l2loopback is {text}"
    assert commands(found) == [f"sudo {command}" for command in wanted]


def test_a_build_that_failed_is_told_with_its_log(tmp_path: Path) -> None:
    """Catches a second attempt at what has just failed with the headers in place."""
    log = "var/lib/dkms/v4l2loopback/0.13.2/build/make.log"
    files = {
        log: "error",
        "usr/src/v4l2loopback-0.13.2/v4l2loopback.c": "",
        "lib/modules/6.1.0-56-amd64/build/Makefile": "",
    }
    (found,) = virtual_camera.virtual_camera(computer(tmp_path, files))
    assert log in found.text
    assert "PipeWire" in found.text


@pytest.mark.parametrize(
    ("version", "release", "needed"),
    [
        ("0.12.7-2", "6.1.0-56-amd64", None),
        ("0.12.7-2", "6.8.0-31-generic", "0.13.0"),
        ("0.12.7-2ubuntu5", "6.8.0-31-generic", None),
        ("0.12.7-2ubuntu5", "7.0.1-generic", "0.15.2"),
        ("0.14.0", "6.14.3", None),
        ("0.14.0", "6.15.0", "0.15.0"),
        ("0.15.1", "6.17.9", None),
        ("0.15.1-1", "6.18.0", "0.15.2"),
        ("0.15.3", "6.18.44-fc", None),
        ("snapshot", "6.1.0", None),
    ],
)
def test_versions_are_compared_with_the_kernel(
    version: str, release: str, needed: str | None
) -> None:
    """Catches a comparison of texts ("6.18" < "6.8") and a table off by one."""
    assert _too_old(version, release) == needed


def test_a_device_is_right_and_stays_after_a_restart(tmp_path: Path) -> None:
    """Catches a module that is there today and gone tomorrow, reported as well."""
    made = computer(tmp_path, loopback())
    device, morning = virtual_camera.virtual_camera(made)
    assert device == ok("virtual camera", "LiveEdit (/dev/video9), v4l2loopback 0.12.7")
    assert morning.verdict is Verdict.WARN
    for line in commands(morning):
        text, _, path = line.partition(" | sudo tee ")
        target = tmp_path / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(subprocess.check_output(["/bin/sh", "-c", text], text=True))
    assert one(list(virtual_camera.virtual_camera(made)), "at every boot").verdict is Verdict.OK


def test_a_module_that_does_not_say_its_version_is_an_old_one(tmp_path: Path) -> None:
    """Catches Debian 12's driver, 0.12.7, which has no such file, taken for none at all."""
    files = loopback()
    del files["sys/module/v4l2loopback/version"]
    device = next(virtual_camera.virtual_camera(computer(tmp_path, files)))
    assert device.text == "LiveEdit (/dev/video9), v4l2loopback before 0.13"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (loopback(caps="N,N"), "exclusive_caps=1"),
        (loopback(label="Dummy video device (0x0000)"), "not as LiveEdit"),
    ],
)
def test_caps_and_label_are_told(tmp_path: Path, files: dict[str, str], words: str) -> None:
    """Catches a device that Chrome does not list, or under a name nobody looks for."""
    found = next(virtual_camera.virtual_camera(computer(tmp_path, files)))
    assert found.verdict is Verdict.WARN
    assert words in found.text
    assert commands(found) == ["sudo modprobe -r v4l2loopback", f"sudo {LOAD}"]


def test_two_devices_are_not_reloaded_without_a_person(tmp_path: Path) -> None:
    """Catches a --fix that takes OBS's own device away."""
    second = {
        "sys/class/video4linux/video8/name": "OBS\n",
        "sys/class/video4linux/video8/max_openers": "10\n",
    }
    found = next(virtual_camera.virtual_camera(computer(tmp_path, loopback(caps="N,N") | second)))
    assert certain_fixes([found]) == ()


def test_no_camera_and_only_an_infrared_one(tmp_path: Path) -> None:
    """Catches the infrared camera of a laptop taken for the real one."""
    (none,) = cameras.cameras(computer(tmp_path))
    assert none.verdict is Verdict.WARN
    assert "drawn scene" in none.text
    infrared = lens("IR Camera", is_infrared=True)
    only, itself = cameras.cameras(computer(tmp_path, cameras=lambda: (infrared,)))
    assert "only an infrared" in only.text
    assert "last choice of auto" in itself.text


def test_a_plugged_camera_without_driver(tmp_path: Path) -> None:
    """Catches "plug one in" said to somebody who has."""
    files = {"sys/bus/usb/devices/1-1:1.0/bInterfaceClass": "0e\n"}
    (found,) = cameras.cameras(computer(tmp_path, files))
    assert found.verdict is Verdict.FAIL
    assert commands(found) == ["sudo modprobe uvcvideo"]


def test_what_a_camera_gives_and_one_that_is_slow(tmp_path: Path) -> None:
    """Catches a driver's promise told as what was seen."""
    good = computer(
        tmp_path, cameras=lambda: (lens(),), try_camera=lambda device: Seen(1280, 720, 30.0)
    )
    (found,) = cameras.cameras(good)
    assert found == ok("camera", "HD Webcam (camera0): gave 1280x720 at 30 fps")
    slow = computer(
        tmp_path,
        cameras=lambda: (lens(),),
        try_camera=lambda device: Seen(1280, 720, 12.5),
        rates=lambda device: ("MJPG 1280x720 at 30 fps",),
    )
    (found,) = cameras.cameras(slow)
    assert found.verdict is Verdict.WARN
    assert "12.5 fps, 30 were asked for" in found.text
    assert "MJPG 1280x720 at 30 fps" in found.text


def test_formats_alike_are_told_in_one_breath(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a line of sixty formats, as the kernel's test camera has them."""
    rates = [_v4l2.Rate(name, 1280, 720, 12.5) for name in ("YUYV", "UYVY", "NV12", "NV16", "RGB3")]
    rates.insert(1, _v4l2.Rate("MJPG", 1280, 720, 30.0))
    monkeypatch.setattr(_v4l2, "query_rates", lambda path, width, height: rates)
    monkeypatch.setattr(sys, "platform", "linux")
    assert this_computer(Config(), {}, is_quick=True).rates(lens()) == [
        "YUYV/UYVY/NV12 and 2 more 1280x720 at 12.5 fps",
        "MJPG 1280x720 at 30 fps",
    ]


def test_two_cameras_of_one_name_are_told_apart_by_path(tmp_path: Path) -> None:
    """Catches a report of which nobody knows what to write behind camera:."""
    twins = (lens(device="camera0"), lens(device="camera2"))
    found = list(
        cameras.cameras(
            computer(tmp_path, cameras=lambda: twins, try_camera=lambda _: Seen(640, 480, 30))
        )
    )
    assert all("name it by its path" in finding.text for finding in found)
    assert [("camera0" in f.text, "camera2" in f.text) for f in found] == [
        (True, False),
        (False, True),
    ]


def test_a_busy_camera_names_the_program(tmp_path: Path) -> None:
    """Catches "it may be in use" where the program can be named."""

    def refuse(device: DeviceInfo) -> Seen:
        raise SourceError("could not be opened.")

    process = tmp_path / "proc/4321"
    (process / "fd").mkdir(parents=True)
    (process / "fd/7").symlink_to("/dev/video0")
    (process / "comm").write_text("zoom\n")
    camera = lens(device="/dev/video0")
    (found,) = cameras.cameras(computer(tmp_path, cameras=lambda: (camera,), try_camera=refuse))
    assert found.verdict is Verdict.FAIL
    assert "in use by zoom (4321)" in found.text
    assert commands(found) == ["kill 4321"]
    assert certain_fixes([found]) == ()


def test_a_camera_of_another_group(tmp_path: Path) -> None:
    """Catches a permission problem reported as a busy camera."""
    camera = lens(device="/dev/video0")
    (found,) = cameras.cameras(
        computer(tmp_path, cameras=lambda: (camera,), may_open=lambda path: False)
    )
    assert found.verdict is Verdict.FAIL
    assert found.fixes[0].command.startswith("sudo usermod -aG ")
    assert found.fixes[0].after == "log in again"


def test_the_camera_of_the_running_daemon_is_not_opened(tmp_path: Path) -> None:
    """Catches a doctor that calls its own program's camera busy."""
    running = computer(tmp_path, daemon=Status(source="camera:0 (HD Webcam)"))
    (found,) = cameras.cameras(running)
    assert found.verdict is Verdict.OK
    assert "HD Webcam" in found.text
