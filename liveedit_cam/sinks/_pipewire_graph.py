"""Which cameras PipeWire offers at this moment, by its own tool pw-dump. Knows no frames.

Says what is missing where it cannot be asked: the tools or the service.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

from liveedit_cam.errors import SinkError, shown
from liveedit_cam.sinks._distribution import install_command, read_os_release
from liveedit_cam.sinks._pipewire_links import Links

ASK_S = 3.0
"""A service that does not answer pw-dump in this time is taken for dead."""

INSTALL = {
    "debian": "sudo apt install gstreamer1.0-tools gstreamer1.0-plugins-base "
    "gstreamer1.0-pipewire pipewire-bin wireplumber",
    "fedora": "sudo dnf install gstreamer1 gstreamer1-plugins-base pipewire-gstreamer "
    "pipewire-utils wireplumber",
    "arch": "sudo pacman -S gstreamer gst-plugins-base gst-plugin-pipewire pipewire wireplumber",
    "suse": "sudo zypper install gstreamer gstreamer-plugins-base gstreamer-plugin-pipewire "
    "pipewire-tools wireplumber",
}
_INSTALL_OTHERWISE = (
    "the packages with gst-launch-1.0, GStreamer's base and PipeWire plugins, pw-dump, WirePlumber"
)
START = "systemctl --user start pipewire wireplumber"
"""The command that starts the service for this user."""
_RESTART = "systemctl --user restart pipewire wireplumber"
_NODE = "PipeWire:Interface:Node"
_CAMERA = "Video/Source"


WATCH = ("pw-dump", "--monitor")
"""Prints each change of the graph until PipeWire ends."""

ReadCameras = Callable[[], frozenset[str]]


def read_cameras(
    command: Sequence[str] = ("pw-dump",), *, timeout_s: float = ASK_S
) -> frozenset[str]:
    """``node.name`` of every camera PipeWire offers now.

    Raises SinkError where the tool or the service is missing, or silent for ``timeout_s``.
    """
    try:
        answer = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=True
        )
    except OSError as error:
        raise lacks(f"{command[0]} cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise SinkError(
            f"PipeWire did not answer in {timeout_s:g} s.", hint=f"Run: {_RESTART}"
        ) from error
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.decode(errors="replace").split())
        raise SinkError(
            f"PipeWire does not run for this user (pw-dump: {said}).", hint=f"Run: {START}"
        ) from error
    return parse_cameras(answer.stdout.decode(errors="replace"))


class Watch:
    """Notices the end of PipeWire, which GStreamer 1.22 survives as if nothing had happened, and
    who is linked to which node.

    ``is_over`` and ``close`` from one thread.
    """

    def __init__(self, command: Sequence[str] = WATCH) -> None:
        """Start ``command``, which ends when PipeWire does. Raises SinkError."""
        self._links = Links()
        try:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise lacks(f"{command[0]} cannot be run: {error.strerror}") from error
        assert self._child.stdout is not None, "it was started with a pipe for its output"
        # Read, not sent to /dev/null: where this process is killed the broken pipe ends the child.
        self._reader = threading.Thread(
            target=_read_all,
            args=(self._child.stdout, self._links),
            name="pipewire-watch",
            daemon=True,
        )
        self._reader.start()

    def is_over(self) -> bool:
        """Whether PipeWire has ended since."""
        return self._child.poll() is not None

    def num_readers(self, node: str) -> int:
        """How many links lead away from the node of that name. Any thread."""
        return self._links.num_readers(node)

    def close(self) -> None:
        """Stop watching. May be called twice."""
        self._child.kill()
        self._child.wait()
        self._reader.join()


def parse_cameras(text: str) -> frozenset[str]:
    """Names of the nodes of the class Video/Source in what pw-dump printed.

    Raises SinkError where that is something else than its list of objects.
    """
    try:
        objects = {one["id"]: one for one in _lists(text)}
        nodes = [_properties(one) for one in objects.values() if one.get("type") == _NODE]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SinkError(
            f"pw-dump answered something else than a list of objects: {shown(text)}.",
            hint="Run pw-dump yourself to see what it says.",
        ) from error
    return frozenset(
        str(node["node.name"])
        for node in nodes
        if node.get("media.class") == _CAMERA and "node.name" in node
    )


def _lists(text: str) -> Iterator[dict[str, Any]]:
    """The objects of all lists in ``text``: what changes meanwhile is printed in another list."""
    rest, is_first = text.strip(), True
    while rest or is_first:
        objects, end = json.JSONDecoder().raw_decode(rest)
        yield from objects
        rest, is_first = rest[end:].lstrip(), False


def lacks(what: str, system: str = sys.platform, os_release: str | None = None) -> SinkError:
    """The error for a part that is missing, with the command for this distribution.

    ``system`` as in ``sys.platform``; ``os_release`` None reads the file of this machine.
    """
    if system != "linux":
        return SinkError(
            "There is no PipeWire on this system, only on Linux.", hint="Use virtual-camera."
        )
    release = read_os_release() if os_release is None else os_release
    command = install_command(INSTALL, _INSTALL_OTHERWISE, release)
    return SinkError(f"PipeWire cannot be used: {what}.", hint=f"To install: {command}")


def _read_all(output: IO[bytes], links: Links) -> None:
    with output:
        for line in output:
            links.feed(line.decode(errors="replace"))


def _properties(one: dict[str, Any]) -> dict[str, Any]:
    """Of a node that is just coming or going both levels may be null."""
    return (one.get("info") or {}).get("props") or {}
