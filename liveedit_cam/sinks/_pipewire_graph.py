"""Which cameras PipeWire offers at this moment, by its own tool pw-dump. Knows no frames.

Says what is missing where it cannot be asked: the tools or the service.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from io import BufferedReader

from liveedit_cam.child import Child
from liveedit_cam.distribution import pipewire_command
from liveedit_cam.errors import SinkError, shown
from liveedit_cam.sinks._pipewire_links import Links

ASK_S = 3.0
"""A service that does not answer pw-dump in this time is taken for dead."""
START = "systemctl --user start pipewire wireplumber"
"""The command that starts the service for this user."""
_RESTART = "systemctl --user restart pipewire wireplumber"


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
        try:  # read, not to /dev/null: where we are killed the broken pipe ends the child
            self._child = Child(command, "pipewire-watch", read=self._read)
        except OSError as error:
            raise lacks(f"{command[0]} cannot be run: {error.strerror}") from error

    def is_over(self) -> bool:
        """Whether PipeWire has ended since."""
        return self._child.ended() is not None

    def num_readers(self, node: str) -> int:
        """How many links lead away from the node of that name. Any thread."""
        return self._links.num_readers(node)

    def close(self) -> None:
        """Stop watching. May be called twice."""
        self._child.end()

    def _read(self, output: BufferedReader) -> None:
        for line in output:
            self._links.feed(line.decode(errors="replace"))


def parse_cameras(text: str) -> frozenset[str]:
    """Names of the nodes of the class Video/Source in what pw-dump printed.

    Raises SinkError where that is something else than its list of objects.
    """
    links = Links()
    try:
        links.take(text)
    except ValueError as error:
        raise SinkError(
            f"pw-dump answered something else than a list of objects: {shown(text)}.",
            hint="Run pw-dump yourself to see what it says.",
        ) from error
    return links.cameras()


def lacks(what: str, system: str = sys.platform, os_release: str | None = None) -> SinkError:
    """The error for a part that is missing, with the command for this distribution.

    ``system`` as in ``sys.platform``; ``os_release`` None reads the file of this machine.
    """
    if system != "linux":
        return SinkError(
            "There is no PipeWire on this system, only on Linux.", hint="Use virtual-camera."
        )
    command = pipewire_command(os_release)
    return SinkError(f"PipeWire cannot be used: {what}.", hint=f"To install: {command}")
