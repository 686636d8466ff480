"""What every sink promises, over all that need no device."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from liveedit_cam import registry
from liveedit_cam.errors import SinkError
from liveedit_cam.protocols import Sink
from liveedit_cam.sinks import file, memory, null, preview
from liveedit_cam.types import Frame

NEED_A_DEVICE = {"auto", "pipewire", "virtual-camera"}
"""Tested through their seams in files of their own."""

RUNNABLE = [kind for kind in registry.kinds("sinks") if kind not in NEED_A_DEVICE]
SIZE = (64, 36)


def frame(index: int = 0, size: tuple[int, int] = SIZE) -> Frame:
    pixels = np.full((size[1], size[0], 3), index % 256, np.uint8)
    return Frame(pixels=pixels, index=index, captured_at=float(index))


@pytest.fixture(params=RUNNABLE)
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sink]:
    targets = {"file": str(tmp_path / "out.mp4"), "preview": "0"}
    spec = f"{request.param}:{targets.get(request.param, '')}"
    made = registry.open_sink(spec, width=SIZE[0], height=SIZE[1], fps=30.0)
    yield made
    made.close()


def test_a_sink_is_a_sink(sink: Sink) -> None:
    """Catches a missing member before the daemon does."""
    assert isinstance(sink, Sink)
    assert "64x36" in sink.name


def test_frames_are_taken_and_left_alone(sink: Sink) -> None:
    """Catches a sink that draws into the frame: other sinks get the same array."""
    for index in range(5):
        given = frame(index)
        given.pixels.flags.writeable = False
        sink.write(given)
        assert (given.pixels == index).all()


@pytest.mark.parametrize("size", [(32, 36), (36, 64), (64, 38)])
def test_another_size_is_refused(sink: Sink, size: tuple[int, int]) -> None:
    """Catches a size that changes while programs hold the device, which locks or garbles it."""
    with pytest.raises(SinkError, match=r"expected \(36, 64, 3\)"):
        sink.write(frame(size=size))


def test_a_strided_frame_is_taken(sink: Sink, tmp_path: Path) -> None:
    """Catches code that reads the buffer as it lies: a flipped picture is not contiguous.

    8 of 255: H.264 keeps a slope of grey within 3.
    """
    pixels = frame().pixels
    pixels[:] = np.linspace(40, 200, SIZE[0], dtype=np.uint8)[:, None]  # dark on the left
    given = Frame(pixels=pixels[:, ::-1], index=0, captured_at=0.0)
    sink.write(given)
    sink.close()
    taken = kept_by(sink, tmp_path)
    if taken is not None:
        assert np.abs(taken.astype(int) - given.pixels).max() <= 8
    assert (pixels[:, 0] == 40).all()


def kept_by(sink: Sink, folder: Path) -> np.ndarray | None:
    """What the sink made of the first frame, uint8 RGB; None where it keeps nothing."""
    if isinstance(sink, memory.Memory):
        return sink.frames[0].pixels
    if isinstance(sink, file.VideoFile):
        with av.open(str(folder / "out.mp4")) as container:
            return next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert isinstance(sink, null.Null | preview.Preview), "a new sink: say how to see its picture"
    return None


def test_close_twice_then_write_fails(sink: Sink) -> None:
    """Catches a second close that raises and frames that vanish without an error."""
    sink.write(frame())
    sink.close()
    sink.close()
    with pytest.raises(SinkError, match="closed"):
        sink.write(frame(1))
