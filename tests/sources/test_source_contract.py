"""What every source promises, over all that can run without a device."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from liveedit_cam import registry
from liveedit_cam.errors import SourceEnded
from liveedit_cam.protocols import Source

NEED_A_DEVICE = {"auto", "camera", "screen"}
"""Tested through their seams in files of their own."""

RUNNABLE = [kind for kind in registry.kinds("sources") if kind not in NEED_A_DEVICE]


@pytest.fixture(params=RUNNABLE)
def source(request: pytest.FixtureRequest, write_video: Callable[..., object]) -> Source:
    kind = request.param
    target = str(write_video(range(0, 400, 40))) if kind == "file" else ""
    return registry.open_source(f"{kind}:{target}", loop=True, realtime=False)


def test_a_source_is_a_source(source: Source) -> None:
    """Catches a missing member before the daemon does."""
    assert isinstance(source, Source)
    assert source.name
    assert source.fps > 0
    source.close()


def test_frames_are_rgb_of_the_promised_size_in_order(source: Source) -> None:
    """Catches a wrong shape, a gap in the index and times that run backwards."""
    frames = [source.read() for _ in range(12)]
    source.close()
    for number, frame in enumerate(frames):
        assert frame.pixels.shape == (source.height, source.width, 3)
        assert frame.pixels.dtype == np.uint8
        assert frame.index == number
        assert frame.revision == 0
        assert frame.source is None
    times = [frame.captured_at for frame in frames]
    assert times == sorted(times)


def test_frames_do_not_share_their_memory(source: Source) -> None:
    """Catches a source that draws the next picture into the one it has handed out."""
    one, other = source.read(), source.read()
    source.close()
    assert not np.shares_memory(one.pixels, other.pixels)
    assert not np.array_equal(one.pixels, other.pixels)


def test_close_twice_then_read_ends(source: Source) -> None:
    """Catches a second close that raises, and a read after close that hangs or delivers."""
    source.read()
    source.close()
    source.close()
    with pytest.raises(SourceEnded):
        source.read()


def test_unread_sources_can_be_closed(source: Source) -> None:
    """Catches a close that relies on a read before it."""
    source.close()
