"""Checks of the virtual camera: module, version against the kernel, caps, label, every morning.

Where the module cannot be built for this kernel, the way out is PipeWire's camera.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from liveedit_cam.setup.computer import Computer
from liveedit_cam.setup.findings import Finding, Fix, fail, ok, warn
from liveedit_cam.setup.packages import install_fixes, pipewire_fixes, unasked
from liveedit_cam.sinks import _loopback_setup as driver
from liveedit_cam.sinks import virtual_camera as sink

CHECK = "virtual camera"
MORNING = "at every boot"
_NEEDS = (((6, 18), (0, 15, 2)), ((6, 15), (0, 15, 0)), ((6, 8), (0, 13, 0)))
"""Kernel from which on the module must be at least of that version: its ChangeLog, and issues 570
(strlcpy is gone), 626 (del_timer_sync is gone)."""
_PATCHED = (6, 8)
_NUMBER = re.compile(r"(?:\d+:)?(\d+(?:\.\d+)*)")
_TITLE = "v4l2loopback"
LOAD_FILE = "etc/modules-load.d/liveedit-cam.conf"
OPTIONS_FILE = "etc/modprobe.d/liveedit-cam.conf"


def virtual_camera(computer: Computer) -> Iterator[Finding]:
    """The device that programs are to select."""
    if computer.system != "linux":
        yield _elsewhere(computer)
        return
    devices = driver.loopbacks(computer.root)
    if not devices:
        yield _no_device(computer)
        return
    for device in driver.choose("", devices)[:1]:
        yield _device(computer, device, devices)
    yield _every_morning(computer)


def _elsewhere(computer: Computer) -> Finding:
    reason = sink.probe([camera.name for camera in computer.cameras()])
    if reason is None:
        return ok(CHECK, "installed")
    command = "brew install --cask obs" if computer.system == "darwin" else _WINDOWS
    return fail(CHECK, reason.rstrip("."), Fix(command, is_certain=False))


_WINDOWS = "winget install -e --id OBSProject.OBSStudio"


def _no_device(computer: Computer) -> Finding:
    setup = driver.look(computer.release, computer.root)
    is_there = setup.is_loaded or setup.is_installed
    if not is_there and (why := _unbuildable(computer)) is not None:
        return _without_module(computer, why)
    found = driver.lack(setup)
    text = f"{_TITLE} is {found.in_short or found.what}"
    fixes = list(_headers(computer)) if setup.is_built_elsewhere and not is_there else []
    for command in found.commands:
        fixes += unasked(computer, command)
    if setup.needs_key:
        text += ". Secure Boot is on: where loading is refused, enrol the key first"
        enrol = computer.sudo("mokutil --import /var/lib/dkms/mok.pub")
        fixes.append(Fix(enrol, is_certain=False, after="restart and choose Enroll MOK"))
    return fail(CHECK, text, *fixes)


def _unbuildable(computer: Computer) -> str | None:
    """Why the module cannot be built for the kernel that runs; None where nothing speaks so."""
    version = _offered(computer)
    if version and (needed := _too_old(version, computer.release)):
        why = f"{_TITLE} {version}, which this system has, does not build for the kernel "
        return f"{why}{computer.release}: that needs {needed}"
    logs = (computer.root / f"var/lib/dkms/{_TITLE}").glob("*/build/make.log")
    if (log := next(logs, None)) is not None and not _headers(computer):
        return f"{_TITLE} {version} did not build, see {log}"
    return None


def _headers(computer: Computer) -> tuple[Fix, ...]:
    if (computer.root / f"lib/modules/{computer.release}/build").exists():
        return ()
    return install_fixes(computer, {"debian": "sudo apt install linux-headers-$(uname -r)"})


def _without_module(computer: Computer, why: str) -> Finding:
    """PipeWire instead: a warning where it runs, a failure where its packages are missing."""
    text = f"{why}. PipeWire makes a camera without a module"
    use = Fix("liveedit-cam run --sink pipewire", is_certain=False)
    if computer.pipewire_problem() is None:
        return warn(CHECK, f"{text}, and runs here", use)
    return fail(CHECK, text, *pipewire_fixes(computer), use)


def _device(
    computer: Computer, device: driver.Loopback, devices: tuple[driver.Loopback, ...]
) -> Finding:
    title = f"{device.label} ({device.path})"
    version = computer.read("sys/module/v4l2loopback/version") or "before 0.13"  # that says none
    made = f", {_TITLE} {version}"
    if not computer.may_open(device.path):
        from liveedit_cam.sinks._loopback_output import group_of  # exists on Linux only

        command = f'usermod -aG {group_of(device.path)} "$USER"'
        text = f"{title}: this user may not write to it"
        return fail(CHECK, text, Fix(computer.sudo(command), after="log in again"))
    reload = [
        replace(fix, is_certain=len(devices) == 1)
        for command in (driver.UNLOAD_MODULE, driver.LOAD_MODULE)
        for fix in unasked(computer, command)
    ]
    if _shows_all_caps(computer, devices.index(device)):
        text = f"{title}: loaded without exclusive_caps=1, so Chrome and Zoom do not list it"
        return warn(CHECK, text, *reload)
    if driver.LABEL not in device.label:
        text = f"{title}: programs list it under that name, not as {driver.LABEL}{made}"
        return warn(CHECK, text, *reload)
    programs = [one for one in driver.holders(device.path, computer.root) if "(" in one]
    held = f", open in {', '.join(programs)}" if programs else ""
    return ok(CHECK, f"{title}{made}{held}")


def _shows_all_caps(computer: Computer, index: int) -> bool:
    """Whether the device of that place was made without exclusive_caps; False where unknown."""
    flags = computer.read("sys/module/v4l2loopback/parameters/exclusive_caps").split(",")
    return index < len(flags) and flags[index] == "N"


def _every_morning(computer: Computer) -> Finding:
    """Whether the module is loaded, with our options, when the computer starts."""
    is_loaded = any(_TITLE in text for text in _texts(computer, "etc/modules-load.d", LOAD_FILE))
    has_options = any(
        f"options {_TITLE}" in text for text in _texts(computer, "etc/modprobe.d", OPTIONS_FILE)
    )
    if (is_loaded or _TITLE in computer.read("etc/modules")) and has_options:
        return ok(MORNING, f"{_TITLE} is loaded with its options")
    write = computer.sudo("tee")
    return warn(
        MORNING,
        f"{_TITLE} is gone after the next restart",
        Fix(f"echo {_TITLE} | {write} /{LOAD_FILE}"),
        Fix(f"echo 'options {_TITLE} {driver.OPTIONS}' | {write} /{OPTIONS_FILE}"),
    )


def _texts(computer: Computer, folder: str, own: str) -> Iterator[str]:
    for path in sorted({*(computer.root / folder).glob("*.conf"), computer.root / own}):
        text = computer.read(path.relative_to(computer.root).as_posix())
        yield "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


def _offered(computer: Computer) -> str:
    """The module's version that is, or would be, installed; "" where nobody says."""
    found = computer.run(("modinfo", "-F", "version", _TITLE))
    if found is not None and found.code == 0 and found.output:
        return found.output.splitlines()[0]
    sources = sorted((computer.root / "usr/src").glob(f"{_TITLE}-*"))
    if sources:
        return sources[-1].name.removeprefix(f"{_TITLE}-")
    found = computer.run(("apt-cache", "policy", f"{_TITLE}-dkms"))
    listed = re.search(r"Candidate: (\S+)", found.output) if found is not None else None
    return "" if listed is None or listed[1] == "(none)" else listed[1]


def _too_old(version: str, release: str) -> str | None:
    """The version that kernel needs where ``version`` is older; None where it is new enough.

    Ubuntu's 0.12.7-2ubuntu5 builds for 6.8 where 0.12.7 of its authors does not.
    """
    has, kernel = _numbers(version), _numbers(release)
    for since, needed in _NEEDS:
        is_patched = since == _PATCHED and "ubuntu" in version
        if kernel >= since and has < needed and not is_patched:
            return ".".join(map(str, needed))
    return None


def _numbers(text: str) -> tuple[int, ...]:
    match = _NUMBER.match(text)
    return tuple(map(int, match[1].split("."))) if match else ()
