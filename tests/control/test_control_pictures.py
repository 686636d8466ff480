"""The pictures of the page: which one, how often, for whom, and at whose cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import pytest
from control_fakes import FakeController
from fastapi.testclient import TestClient

from liveedit_cam.control.app import create_app
from liveedit_cam.control.pictures import Pictures, Side, TooManyViewers, small_jpeg
from liveedit_cam.control.state import picture_key
from liveedit_cam.types import Frame

RED, BLUE = (220, 20, 20), (20, 20, 220)
TOKEN = "the-token"


def picture(colour: tuple[int, int, int], size: tuple[int, int] = (64, 36)) -> np.ndarray:
    pixels = np.empty((size[1], size[0], 3), np.uint8)
    pixels[:] = colour
    return pixels


def edited(index: int = 0) -> Frame:
    return Frame(picture(RED), index, captured_at=0.0, revision=1, source=picture(BLUE))


def colour_of(jpeg: bytes) -> tuple[int, int, int]:
    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1)
    red, green, blue = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).mean(axis=(0, 1))
    return round(red), round(green), round(blue)


def is_colour(jpeg: bytes, colour: tuple[int, int, int]) -> bool:
    return max(abs(a - b) for a, b in zip(colour_of(jpeg), colour, strict=True)) < 12


@dataclass
class Stage:
    """Pictures over a clock that moves only while somebody waits."""

    frame: Frame | None = None
    now_s: float = 100.0
    made: list[int] = field(default_factory=list)
    on_wait: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.pictures = Pictures(
            lambda: self.frame, encode=self.encode, now=lambda: self.now_s, sleep=self.sleep
        )

    def encode(self, pixels: np.ndarray, width: int) -> bytes:
        self.made.append(int(pixels[0, 0, 0]))
        return bytes(pixels[0, 0])

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.on_wait()
        await asyncio.sleep(0)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


@pytest.fixture
def controller() -> FakeController:
    return FakeController(frame=edited())


@pytest.fixture
def client(controller: FakeController) -> TestClient:
    app = create_app(controller, TOKEN, lambda: None)
    headers = {"Authorization": f"Bearer {picture_key(TOKEN)}"}
    return TestClient(app, base_url="http://127.0.0.1:8642", headers=headers)


def test_source_and_edited_are_two_pictures(client: TestClient) -> None:
    """Catches swapped or equal pictures and swapped colours; opened by the pictures' own key."""
    assert is_colour(client.get("/source.jpg").content, BLUE)
    answer = client.get("/edited.jpg")
    assert is_colour(answer.content, RED)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "no-store"


def test_without_a_source_picture_the_edited_one_stands_on_both_sides() -> None:
    """Catches a leak: on the slate the frame has no source, and an old camera picture must go."""
    stage = Stage(edited())
    assert run(stage.pictures.next(Side.SOURCE, 0)).jpeg == bytes(BLUE)
    stage.frame = Frame(picture(RED), 1, captured_at=0.0)
    assert run(stage.pictures.next(Side.SOURCE, 1)).jpeg == bytes(RED)


def test_there_is_nothing_new_and_nothing_at_all(
    client: TestClient, controller: FakeController
) -> None:
    """Catches the same picture sent again and again, and an error before the first one."""
    seen = client.get("/edited.jpg").headers["x-picture"]
    assert client.get(f"/edited.jpg?seen={seen}").status_code == 204
    controller.frame = None
    app = create_app(FakeController(), TOKEN, lambda: None)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    fresh = TestClient(app, base_url="http://127.0.0.1:8642", headers=headers)
    assert fresh.get("/edited.jpg").status_code == 204


def test_pictures_are_made_small() -> None:
    """Catches full-size JPEGs, three times the work for a page that shows them small."""
    large = cv2.imdecode(np.frombuffer(small_jpeg(picture(RED, (1280, 720))), np.uint8), 1)
    assert large.shape == (360, 640, 3)
    small = cv2.imdecode(np.frombuffer(small_jpeg(picture(RED)), np.uint8), 1)
    assert small.shape == (36, 64, 3)


def test_no_jpeg_is_made_while_nobody_looks() -> None:
    """Catches an encoder that costs a core all day."""
    stage = Stage()
    for index in range(100):
        stage.frame = edited(index)
    assert stage.made == []
    assert run(stage.pictures.next(Side.EDITED, 0)) is not None
    assert len(stage.made) == 1


def test_the_newest_picture_is_made_at_the_bound_rate() -> None:
    """Catches a backlog shown late, and more JPEGs than 15 a second however fast frames come."""
    stage = Stage()
    shown = 0

    def next_frame() -> None:
        nonlocal shown
        shown += 1
        stage.frame = Frame(np.full((2, 2, 3), shown % 256, np.uint8), shown, 0.0)

    stage.on_wait = next_frame

    async def look_on() -> None:
        seen = 0
        while stage.now_s < 102.0:
            found = await stage.pictures.next(Side.EDITED, seen)
            assert found is not None
            assert found.jpeg[0] == shown % 256
            seen = found.number

    run(look_on())
    assert 29 <= len(stage.made) <= 32  # 2 s at 15 a second


def test_viewers_share_one_jpeg() -> None:
    """Catches one encoding for each viewer."""
    stage = Stage(edited())

    async def look_on() -> None:
        found = await asyncio.gather(*(stage.pictures.next(Side.EDITED, 0) for _ in range(5)))
        assert len({one.number for one in found if one is not None}) == 1

    run(look_on())
    assert len(stage.made) == 1


def test_a_new_viewer_never_sees_an_old_picture() -> None:
    """Catches a JPEG kept from an earlier viewer: since then the user may have hidden himself."""
    stage = Stage(Frame(picture(BLUE), 0, 0.0))
    assert run(stage.pictures.next(Side.EDITED, 0)).jpeg == bytes(BLUE)
    stage.frame, stage.now_s = Frame(picture(RED), 1, 0.0), stage.now_s + 60
    assert run(stage.pictures.next(Side.EDITED, 0)).jpeg == bytes(RED)


def test_a_stream_has_parts_that_players_read() -> None:
    """Catches wrong framing, and a still picture after which nobody notices a lost reader."""
    stage = Stage(Frame(picture(RED), 0, 0.0))

    async def read() -> list[bytes]:
        stream = stage.pictures.stream(Side.EDITED)
        return [await anext(stream) for _ in range(3)]

    start, first, again = run(read())
    assert start == b"--frame\r\n"
    part = b"Content-Type: image/jpeg\r\nContent-Length: 3\r\n\r\n" + bytes(RED)
    assert first == again == part + b"\r\n--frame\r\n"
    assert stage.now_s == pytest.approx(101.0, abs=0.05)
    assert len(stage.made) == 1


def test_places_are_bounded_and_given_back() -> None:
    """Catches viewers without bound, and places that are never free again."""
    pictures = Pictures(lambda: None, max_viewers=2)
    with pictures.viewer(), pictures.viewer():
        assert pictures.is_full
        with pytest.raises(TooManyViewers), pictures.viewer():
            pass
    assert not pictures.is_full
