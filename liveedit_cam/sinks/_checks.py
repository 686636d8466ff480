"""What every sink demands of the frames it is given. Knows no device."""

from __future__ import annotations

from liveedit_cam.errors import SinkError
from liveedit_cam.types import Frame


def check_size(frame: Frame, width: int, height: int, sink: str) -> None:
    """Raise SinkError unless ``frame`` is ``width`` x ``height`` RGB uint8."""
    if frame.pixels.shape != (height, width, 3) or frame.pixels.dtype != "uint8":
        raise SinkError(
            f"{sink} got a frame of shape {frame.pixels.shape} {frame.pixels.dtype}, "
            f"expected ({height}, {width}, 3) uint8.",
            hint="A sink keeps its size; fit the frame first.",
        )


def check_even(width: int, height: int, sink: str) -> None:
    """Raise SinkError where a side is odd: pictures with halved colour need even sides."""
    if width % 2 or height % 2:
        raise SinkError(
            f"{sink} needs an even width and height, got {width}x{height}.",
            hint=f"Use {width - width % 2}x{height - height % 2}.",
        )
