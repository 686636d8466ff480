"""Which cameras this computer has, and which one a user meant. Opens no stream.

Linux is asked by ``_v4l2``, which also tells sizes, formats and loopback devices; Windows and macOS
by the package cv2-enumerate-cameras, whose indices are OpenCV's.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import cv2

from liveedit_cam.errors import MissingDependencyError, SourceError

API = {"linux": cv2.CAP_V4L2, "darwin": cv2.CAP_AVFOUNDATION, "win32": cv2.CAP_DSHOW}
"""The library behind OpenCV by ``sys.platform``; its indices are those of the list."""

_OWN_NAME = "liveedit"
"""Part of the label of our own virtual camera, which must not become our source."""
_INFRARED = re.compile(r"\b(?:ir|infrared)\b", re.IGNORECASE)
_VIRTUAL = re.compile(
    r"\b(?:virtual|obs|unity video capture|manycam|snap camera|xsplit)\b", re.IGNORECASE
)
"""Names of other programs' outputs on Windows and macOS; "OBS Virtual Camera" may be fed by us."""
_GREY_FORMATS = frozenset(
    {"GREY", "Y8I", "Y10", "Y12", "Y12I", "Y16", "Y10B", "INZI", "Z16", "IR8"}
)
"""What infrared and depth nodes deliver, and nothing else."""


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """One camera as the user sees it listed."""

    device: str
    """What goes behind ``camera:``, such as "/dev/video0" or "0"."""
    name: str
    sizes: tuple[tuple[int, int], ...] = ()
    """(width, height) in pixels, largest first; empty where the system does not tell."""
    is_virtual: bool = False
    """Another program's output, not a lens: a phone or a DSLR too, where it comes that way."""
    is_infrared: bool = False
    """Sees heat lamps, not colours: face recognition's camera."""
    formats: tuple[str, ...] = ()
    """Four-letter codes of what it delivers; empty where the system does not tell."""
    identity: str = ""
    """Tells it from others of its name, one for all nodes of a camera; "" = nothing does."""
    again: str = ""
    """Finds it again where its name does not, as another has the same, or the node itself was
    named; "" = its name does."""

    @property
    def target(self) -> str:
        """What to put behind ``camera:`` to open this very camera, or none, when others moved."""
        return self.again or f'"{self.name}"'


class Listed(Protocol):
    """What is used of an entry of cv2-enumerate-cameras."""

    @property
    def index(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str | None: ...


def find(target: str) -> DeviceInfo:
    """The camera a user meant by index, path or name; "" = the first lens.

    Asks only the device that an index or a path names. Raises SourceError where there is none.
    """
    if sys.platform == "linux":
        path = f"/dev/video{int(target)}" if target.isdecimal() else target
        if path.startswith("/"):
            device = _linux_device(path) or DeviceInfo(path, path)
            return replace(device, again=path)
    return choose(target, list_devices())


def list_devices() -> tuple[DeviceInfo, ...]:
    """All cameras of this computer without our own virtual one, infrared ones last."""
    devices = _linux_devices() if sys.platform == "linux" else from_list(_enumerated())
    return in_order(devices)


def in_order(devices: Iterable[DeviceInfo]) -> tuple[DeviceInfo, ...]:
    """``devices`` without our own, infrared ones last; two of one name are told apart."""
    others = [device for device in devices if _OWN_NAME not in device.name.lower()]
    marked = [
        replace(one, again=one.identity or one.device)
        if any(_is_twin(one, other) for other in others)
        else one
        for one in others
    ]
    return tuple(sorted(marked, key=lambda device: device.is_infrared))


def _is_twin(one: DeviceInfo, other: DeviceInfo) -> bool:
    """Whether they are two cameras of one name, not two nodes of one camera."""
    is_one_camera = one is other or (one.identity != "" and one.identity == other.identity)
    return one.name.lower() == other.name.lower() and not is_one_camera


def choose(target: str, devices: Sequence[DeviceInfo]) -> DeviceInfo:
    """The one of ``devices`` that was meant. Raises SourceError where there is none.

    A path or index that is not listed is returned as it is: opening it tells more.
    """
    if not target:
        lenses = [device for device in devices if not device.is_virtual]
        if lenses:
            return lenses[0]
        raise SourceError("No camera was found.", hint=no_camera_hint(devices))
    for device in devices:
        if target in (device.device, device.identity):
            return device
    if target.isdecimal() or target.startswith("/"):
        return DeviceInfo(device=target, name=target)
    return _by_name(target, devices)


def no_camera_hint(devices: Sequence[DeviceInfo]) -> str:
    """What to do without a lens; names the virtual ones among ``devices``."""
    virtual = [f'"camera:{device.device}" ({device.name})' for device in devices]
    if virtual:
        return (
            "There are cameras that another program feeds, such as a phone or a DSLR; name one "
            f"to use it: --source {', '.join(virtual)}."
        )
    return "Plug one in, or start with another source: pattern, screen or file:clip.mp4."


def from_list(listed: Iterable[Listed]) -> tuple[DeviceInfo, ...]:
    """The cameras of Windows or macOS; what they are is told from their names."""
    return tuple(
        DeviceInfo(
            device=str(camera.index),
            name=camera.name,
            is_virtual=bool(_VIRTUAL.search(camera.name)),
            is_infrared=bool(_INFRARED.search(camera.name)),
            identity=camera.path or "",
        )
        for camera in listed
    )


def _by_name(target: str, devices: Sequence[DeviceInfo]) -> DeviceInfo:
    """By the whole name, else by a part of it; in quotation marks by the whole name only."""
    is_whole = target.startswith('"') and target.endswith('"')
    wanted = target.lower()[1:-1] if is_whole else target.lower()
    exact = [device for device in devices if device.name.lower() == wanted]
    part = [] if is_whole else [device for device in devices if wanted in device.name.lower()]
    found = exact or part
    if len(found) == 1 or (exact and not any(_is_twin(exact[0], other) for other in exact)):
        return found[0]  # one camera often has two nodes of one name; the first is the picture
    listed = ", ".join(f"{device.device} ({device.name})" for device in found or devices)
    problem = "Several cameras match" if found else "No camera matches"
    raise SourceError(f"{problem} {target!r}.", hint=f"Choose one of: {listed or 'none found'}.")


def _enumerated() -> Iterable[Listed]:
    try:
        from cv2_enumerate_cameras import enumerate_cameras
    except ImportError as error:
        raise MissingDependencyError(
            f"The cameras cannot be listed: {error}.",
            hint="Install it: pip install cv2-enumerate-cameras",
        ) from error
    cameras: Iterable[Listed] = enumerate_cameras(API.get(sys.platform, cv2.CAP_ANY))
    return cameras


def _linux_devices() -> tuple[DeviceInfo, ...]:
    from liveedit_cam.sources import _v4l2  # needs fcntl, which other systems lack

    devices = (_linux_device(path) for path in _v4l2.device_paths())
    return tuple(device for device in devices if device is not None)


def _linux_device(path: str) -> DeviceInfo | None:
    """What the node at ``path`` is; None where it is no camera, such as a metadata node."""
    from liveedit_cam.sources import _v4l2

    name = _v4l2.device_name(os.path.realpath(path))
    try:
        node = _v4l2.query_path(path)
    except OSError:  # busy or not ours to open: listed all the same, opening says why
        return DeviceInfo(device=path, name=name or path)
    if not node.is_capture:
        return None
    label = name or node.name or path
    return DeviceInfo(
        device=path,
        name=label,
        sizes=node.sizes,
        is_virtual=node.is_virtual,
        is_infrared=is_infrared(label, node.formats),
        formats=node.formats,
        identity=node.bus,
    )


def is_infrared(name: str, formats: Sequence[str]) -> bool:
    """Whether a node says so, by its name or by delivering shades of grey only."""
    is_grey_only = bool(formats) and _GREY_FORMATS.issuperset(formats)
    return is_grey_only or bool(_INFRARED.search(name))
