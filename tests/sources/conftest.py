"""A tiny video, written as the tests need it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

WriteVideo = Callable[..., Path]


@pytest.fixture
def write_video(tmp_path: Path) -> WriteVideo:
    """``write(times_ms, size=(w, h))``: one grey picture per time, brighter from left to right."""

    def write(
        times_ms: Sequence[int], *, size: tuple[int, int] = (64, 32), name: str = "clip.mp4"
    ) -> Path:
        width, height = size
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=Fraction(1000))
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.codec_context.time_base = Fraction(1, 1000)
            for number, time_ms in enumerate(times_ms):
                ramp = np.linspace(20, 200, width).astype(np.uint8)
                pixels = np.repeat(np.tile(ramp, (height, 1))[..., None], 3, axis=2)
                pixels[: height // 4] = 5 * number
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
                picture.pts, picture.time_base = time_ms, Fraction(1, 1000)
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        return path

    return write
