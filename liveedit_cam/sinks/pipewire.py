"""A camera of PipeWire's own, for Linux without the kernel module v4l2loopback.

A child process, gst-launch-1.0, takes raw frames on its standard input and offers them as a node of
the class Video/Source; programs that read cameras through PipeWire list it by its description.
Knows neither PipeWire's protocol nor who reads.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np

from liveedit_cam.errors import SinkError, UsageError
from liveedit_cam.protocols import Sink
from liveedit_cam.sinks._checks import check_even, check_size
from liveedit_cam.sinks._frame_pipe import FramePipe
from liveedit_cam.sinks._pipewire_graph import (
    START,
    WATCH,
    ReadCameras,
    Watch,
    lacks,
    read_cameras,
)
from liveedit_cam.types import Frame

DEFAULT_DESCRIPTION = "LiveEdit"
START_S = 15.0
"""GStreamer lists its plugins when it runs for the first time, which takes a while."""
STALL_S = 5.0
"""A reader that hangs holds the child up; after so long the camera is given up."""
_LEAVE_S = 1.0
"""A camera of the same name that is just being closed is gone by then."""
_POLL_S = 0.05
_LAUNCH = "gst-launch-1.0"
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 26), "MALLOC_TRIM_THRESHOLD_": str(1 << 27)}
"""The C library else gets each picture's memory from the kernel anew: half of the child's time."""
_LAST_SD_LINE = 576
"""Readers take the colours of a taller picture for BT.709, of this one and lower for BT.601."""
_DESCRIPTION = re.compile(r'[^\x00-\x1f"\\]{1,64}')


def describe() -> str:
    """One line of help."""
    return f"pipewire[:NAME]  a PipeWire camera, called {DEFAULT_DESCRIPTION}; Linux, no driver"


def create(target: str, *, width: int, height: int, fps: float) -> Sink:
    """Offer the camera; it is there on return. Raises UsageError (name) and SinkError."""
    return PipeWireCamera(target or DEFAULT_DESCRIPTION, width, height, fps)


def probe() -> str | None:
    """Why there can be no PipeWire camera here; None where there can. Starts nothing."""
    try:
        read_cameras()
        if shutil.which(_LAUNCH) is None:
            raise lacks(f"the program {_LAUNCH} is not installed")
    except SinkError as error:
        return str(error)
    return None


class PipeWireCamera:
    """One camera node. All methods from one thread."""

    def __init__(
        self,
        description: str,
        width: int,
        height: int,
        fps: float,
        *,
        command: Sequence[str] | None = None,
        watch: Sequence[str] = WATCH,
        read_cameras: ReadCameras = read_cameras,
        now: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        """``description`` is what programs list.

        ``command`` takes the frames, None is gst-launch-1.0; ``watch`` ends when PipeWire does;
        ``now`` gives seconds on a monotonic clock, ``wait`` blocks for that many.
        """
        node = node_name(description)
        check_even(width, height, "A PipeWire camera")
        self.name = f"pipewire:{description} ({width}x{height} at {fps:g} fps)"
        self._size = (width, height)
        self._read_cameras, self._now, self._wait = read_cameras, now, wait
        self._node = node
        self._require_free(node, description)
        self._watch = Watch(watch)
        self._pipe: FramePipe | None = None
        command = command or gst_command(node, description, width, height, fps)
        try:
            self._pipe = FramePipe(command, variables=_KEEP_MEMORY, now=now)
            self._await_node(self._pipe, node)
        except OSError as error:
            self.close()
            raise lacks(f"{command[0]} cannot be run: {error.strerror}") from error
        except SinkError:
            self.close()
            raise

    def write(self, frame: Frame) -> None:
        """Make ``frame`` the newest; one that readers were too slow for is dropped."""
        if self._pipe is None:
            raise SinkError(f"{self.name} is closed.")
        check_size(frame, *self._size, self.name)
        self._check_running(self._pipe)
        if (stalled_s := self._pipe.stalled_s()) > STALL_S:
            raise SinkError(
                f"{self.name} has taken no frame for {stalled_s:.0f} s.",
                hint="Close the program that reads it and hangs.",
            )
        self._pipe.put(frame.pixels)

    def has_reader(self) -> bool:
        """Whether a program is linked to the camera."""
        return self._watch.num_readers(self._node) > 0

    def close(self) -> None:
        """Take the camera away."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.close()
        self._watch.close()

    def _require_free(self, node: str, description: str) -> None:
        if node in self._poll(lambda cameras: node not in cameras, _LEAVE_S):
            raise SinkError(
                f"There is a PipeWire camera {description!r} already.",
                hint="Stop the program that offers it, or name this one: "
                f'--sink "pipewire:{description} 2"',
            )

    def _await_node(self, pipe: FramePipe, node: str) -> None:
        width, height = self._size
        pipe.put(np.zeros((height, width, 3), np.uint8))  # the node appears with the first frame

        def is_there(cameras: frozenset[str]) -> bool:
            self._check_running(pipe)
            return node in cameras

        if node not in self._poll(is_there, START_S):
            raise SinkError(
                f"{self.name} did not appear within {START_S:g} s. {_reason(pipe.lines())}".strip(),
                hint="Run pw-dump to see whether PipeWire answers.",
            )

    def _check_running(self, pipe: FramePipe) -> None:
        if self._watch.is_over():
            raise SinkError(f"{self.name} is gone: PipeWire has stopped.", hint=f"Run: {START}")
        how = pipe.ended()
        if how is None:
            return
        reason = _reason(pipe.lines())
        if "no element" in reason:
            raise lacks(f"GStreamer says {reason}")
        raise SinkError(
            f"{self.name} is gone, its {_LAUNCH} ended with {how}: {reason or 'no message'}",
            hint=f"Where PipeWire does not run: {START}",
        )

    def _poll(
        self, is_enough: Callable[[frozenset[str]], bool], timeout_s: float
    ) -> frozenset[str]:
        """The first cameras that are enough, else those there when ``timeout_s`` was over."""
        until = self._now() + timeout_s
        while not is_enough(cameras := self._read_cameras()) and self._now() < until:
            self._wait(_POLL_S)
        return cameras


def node_name(description: str) -> str:
    """PipeWire's name for the camera. Raises UsageError where the description cannot be used."""
    if not _DESCRIPTION.fullmatch(description):
        raise UsageError(
            f"Got the camera name {description!r}, expected 1 to 64 characters without quotation "
            "marks, backslashes and line breaks.",
            hint="Such as pipewire:LiveEdit",
        )
    return f"liveedit-cam:{description}"


def gst_command(node: str, description: str, width: int, height: int, fps: float) -> list[str]:
    """The child: RGB frames without padding on its standard input, YUY2 out to PipeWire.

    YUY2 is what every program that reads cameras through PipeWire takes. ``drop-allocation`` keeps
    the converter from drawing into PipeWire's buffers, which are not there before a reader is.
    """
    rate = Fraction(fps).limit_denominator(1001)
    matrix = "bt709" if height > _LAST_SD_LINE else "bt601"
    names = rf"node.name=\"{node}\",node.description=\"{description}\""  # may hold spaces
    properties = f'"props,media.class=Video/Source,media.role=Camera,{names}"'
    source = ["fdsrc", "fd=0", "do-timestamp=true", "blocksize=65536"]  # what a pipe holds
    parse = ["rawvideoparse", "format=rgb", f"width={width}", f"height={height}"]
    parse += [f"plane-strides=<{3 * width}>", f"framerate={rate.numerator}/{rate.denominator}"]
    convert = ["videoconvert", "!", f"video/x-raw,format=YUY2,colorimetry={matrix}"]
    detach = ["identity", "drop-allocation=true"]
    sink = ["pipewiresink", "mode=provide", "sync=false", f"stream-properties={properties}"]
    launch = [_LAUNCH, "--no-fault", "--quiet"]
    return [*launch, *source, "!", *parse, "!", *convert, "!", *detach, "!", *sink]


def _reason(lines: Sequence[str]) -> str:
    """GStreamer's own word of what went wrong, else the last line; empty where there is none."""
    errors = [line for line in lines if line.startswith(("ERROR:", "WARNING: erroneous"))]
    return errors[0] if errors else lines[-1] if lines else ""
