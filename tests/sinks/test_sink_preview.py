"""The preview: read over real HTTP, and its feed against a clock that is told to move."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import cv2
import httpx
import numpy as np
import pytest

from liveedit_cam.errors import SinkError, UsageError
from liveedit_cam.pacing import Pacer
from liveedit_cam.pixels import jpeg
from liveedit_cam.sinks.preview import MAX_VIEWERS, Feed, Preview, create
from liveedit_cam.types import Frame

RED, BLUE = (220, 20, 20), (20, 20, 220)


def picture(colour: tuple[int, int, int], size: tuple[int, int] = (64, 36)) -> np.ndarray:
    pixels = np.empty((size[1], size[0], 3), np.uint8)
    pixels[:] = colour
    return pixels


def edited(index: int = 0) -> Frame:
    return Frame(picture(RED), index, captured_at=0.0, revision=1, source=picture(BLUE))


@pytest.fixture
def preview() -> Iterator[Preview]:
    sink = Preview(0, 64, 36, 30.0, max_fps=1000.0)
    yield sink
    sink.close()


def address(sink: Preview, path: str) -> str:
    assert sink.url is not None
    return sink.url.replace("/?", f"{path}?")


def read_part(sink: Preview, path: str) -> np.ndarray:
    """The first picture of a stream, as RGB."""
    with httpx.stream("GET", address(sink, path), timeout=20) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "multipart/x-mixed-replace; boundary=frame"
        data = b""
        for piece in answer.iter_raw():
            data += piece
            head, found, body = data.partition(b"\r\n\r\n")
            if not found:
                continue
            assert head.startswith(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: ")
            length = int(head.rpartition(b" ")[2])
            if len(body) >= length + len(b"\r\n--frame\r\n"):
                assert body[length:].startswith(b"\r\n--frame\r\n")
                bgr = cv2.imdecode(np.frombuffer(body[:length], np.uint8), 1)
                return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    raise AssertionError("the stream ended without a picture")


def is_colour(pixels: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(pixels.astype(int).mean(axis=(0, 1)) - colour).max() < 12)


def test_source_and_edited_are_two_streams(preview: Preview) -> None:
    """Catches swapped or equal streams, wrong MJPEG framing and swapped colours."""
    preview.write(edited())
    assert is_colour(read_part(preview, "/source.mjpeg"), BLUE)
    assert is_colour(read_part(preview, "/edited.mjpeg"), RED)


def test_without_a_source_picture_the_edited_one_stands_on_both_sides(preview: Preview) -> None:
    """Catches a leak: on the slate the frame has no source, and an old camera picture must go."""
    preview.write(edited())
    read_part(preview, "/source.mjpeg")
    preview.write(Frame(picture(RED), 1, captured_at=0.0))
    assert is_colour(read_part(preview, "/source.mjpeg"), RED)


def test_the_page_shows_both_streams_with_the_key(preview: Preview) -> None:
    """Catches a page whose pictures are refused because their addresses lack the key."""
    assert preview.url is not None
    answer = httpx.get(preview.url)
    key = parse_qs(urlsplit(preview.url).query)["key"][0]
    assert answer.status_code == 200
    assert f"/source.mjpeg?key={key}" in answer.text
    assert f"/edited.mjpeg?key={key}" in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/", "/source.mjpeg", "/edited.mjpeg", "/other"])
@pytest.mark.parametrize("query", ["", "?key=", "?key=wrong", "?key=%C3%A9"])
def test_nothing_is_shown_without_the_key(preview: Preview, path: str, query: str) -> None:
    """Catches an open path: any page or user of this machine could read the camera."""
    preview.write(edited())
    assert preview.url is not None
    answer = httpx.get(preview.url.split("/?")[0] + path + query)
    assert answer.status_code == 403
    assert b"\xff\xd8" not in answer.content


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8643", 200),
        ("localhost", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example:8643", 403),
        ("127.0.0.1@evil.example", 403),
        (None, 403),
    ],
)
def test_only_local_host_names_are_answered(
    preview: Preview, host: str | None, status: int
) -> None:
    """Catches DNS rebinding: a foreign name that points at 127.0.0.1 brings its own scripts."""
    assert preview.url is not None
    url = urlsplit(preview.url)
    connection = http.client.HTTPConnection("127.0.0.1", url.port or 0, timeout=20)
    connection.putrequest("GET", f"/?{url.query}", skip_host=True)
    if host is not None:
        connection.putheader("Host", host)
    connection.endheaders()
    assert connection.getresponse().status == status
    connection.close()


def test_unknown_paths_are_not_found(preview: Preview) -> None:
    """Catches files of the working folder served by accident."""
    assert httpx.get(address(preview, "/pyproject.toml")).status_code == 404


def test_it_listens_on_this_machine_only(preview: Preview) -> None:
    """Catches a server bound to all interfaces."""
    assert preview.url is not None
    port = urlsplit(preview.url).port
    with socket.socket() as other:
        other.bind(("127.0.0.2", port or 0))  # free only if nobody listens on 0.0.0.0
        other.listen()


def test_no_jpeg_is_made_while_nobody_watches() -> None:
    """Catches an encoder that costs a core all day."""
    made: list[int] = []

    def encode(pixels: np.ndarray) -> bytes:
        made.append(1)
        return jpeg(pixels)

    sink = Preview(0, 64, 36, 30.0, max_fps=1000.0, encode=encode)
    for index in range(100):
        sink.write(edited(index))
    assert not made
    read_part(sink, "/edited.mjpeg")
    assert made
    sink.close()


def test_pictures_are_made_small(preview: Preview) -> None:
    """Catches full-size JPEGs, three times the work for a page that shows them small."""
    sink = Preview(0, 1280, 720, 30.0, max_fps=1000.0)
    sink.write(Frame(picture(RED, (1280, 720)), 0, captured_at=0.0))
    assert read_part(sink, "/edited.mjpeg").shape == (360, 640, 3)
    sink.close()
    preview.write(edited())
    assert read_part(preview, "/edited.mjpeg").shape == (36, 64, 3)


def test_a_viewer_who_takes_nothing_does_not_hold_up_the_writer(preview: Preview) -> None:
    """Catches a write that waits for a socket: this viewer never reads a byte."""
    assert preview.url is not None
    url = urlsplit(preview.url)
    with socket.create_connection(("127.0.0.1", url.port or 0)) as viewer:
        viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        request = f"GET /edited.mjpeg?{url.query} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        viewer.sendall(request.encode())
        done = threading.Event()

        def write() -> None:
            for index in range(2000):
                preview.write(edited(index))
            done.set()

        threading.Thread(target=write, daemon=True).start()
        assert done.wait(20)


def test_close_lets_the_viewers_go(preview: Preview) -> None:
    """Catches a program that hangs at its end, and a second close that raises."""
    preview.write(edited())
    with httpx.stream("GET", address(preview, "/edited.mjpeg"), timeout=20) as answer:
        pieces = answer.iter_raw()
        next(pieces)
        preview.close()
        preview.close()
        for _ in pieces:
            pass


def test_too_many_viewers_are_refused(preview: Preview) -> None:
    """Catches threads without bound, and places that are never given back."""
    assert preview.url is not None
    url = urlsplit(preview.url)
    request = f"GET /edited.mjpeg?{url.query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    viewers = []
    for _ in range(MAX_VIEWERS):
        viewer = socket.create_connection(("127.0.0.1", url.port or 0), timeout=20)
        viewer.sendall(request)
        assert b"200 OK" in viewer.recv(100)
        viewers.append(viewer)
    assert httpx.get(address(preview, "/edited.mjpeg")).status_code == 503
    for viewer in viewers:
        viewer.close()
    assert 200 in (status_after_a_frame(preview) for _ in range(500))


def status_after_a_frame(sink: Preview) -> int:
    """A viewer who left is noticed at the next frame sent to him."""
    sink.write(edited())
    with httpx.stream("GET", address(sink, "/edited.mjpeg"), timeout=20) as answer:
        return answer.status_code


def test_a_taken_port_is_named_with_the_way_out(preview: Preview) -> None:
    """Catches "address already in use" without a number."""
    assert preview.url is not None
    port = urlsplit(preview.url).port
    with pytest.raises(SinkError, match=f"Port {port} .*taken.*preview:0"):
        create(str(port), width=64, height=36, fps=30.0)


@pytest.mark.parametrize("target", ["web", "-1", "65536", "127.0.0.1:8643"])
def test_a_bad_port_is_refused(target: str) -> None:
    """Catches a typing error that silently gives the usual port."""
    with pytest.raises(UsageError, match="from 0 to 65535"):
        create(target, width=64, height=36, fps=30.0)


def test_two_previews_have_two_keys() -> None:
    """Catches a fixed key."""
    one, other = Preview(0, 64, 36, 30.0), Preview(0, 64, 36, 30.0)
    assert one.url is not None
    assert other.url is not None
    assert urlsplit(one.url).query != urlsplit(other.url).query
    one.close()
    other.close()


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def now(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def test_the_newest_picture_is_encoded_at_the_feed_rate() -> None:
    """Catches a backlog shown late, and more JPEGs than the bound however fast frames come."""
    clock = Clock()
    made: list[int] = []

    def encode(pixels: np.ndarray) -> bytes:
        made.append(int(pixels[0, 0, 0]))
        return b"jpeg"

    feed = Feed(encode, Pacer(15.0, now=clock.now, sleep=clock.sleep))
    number = feed.start()
    for shown in range(1, 31):
        for step in range(4):
            feed.put(np.full((2, 2, 3), 4 * shown + step, np.uint8))
        news = feed.next_jpeg(number)
        assert news is not None
        number = news[0]
    assert made == [4 * shown + 3 for shown in range(1, 31)]
    assert clock.now_s == pytest.approx(29 / 15)


def test_two_viewers_share_one_jpeg() -> None:
    """Catches one encoding for each viewer."""
    made: list[int] = []

    def encode(pixels: np.ndarray) -> bytes:
        made.append(1)
        return b"jpeg"

    clock = Clock()
    feed = Feed(encode, Pacer(15.0, now=clock.now, sleep=clock.sleep))
    feed.put(picture(RED))
    assert feed.next_jpeg(0) == feed.next_jpeg(0)
    assert len(made) == 1


def test_a_new_viewer_never_sees_an_old_picture() -> None:
    """Catches a JPEG kept from an earlier viewer: since then the user may have hidden himself."""
    clock = Clock()
    feed = Feed(lambda pixels: bytes(pixels[0, 0]), Pacer(15.0, now=clock.now, sleep=clock.sleep))
    feed.put(picture(BLUE))
    feed.next_jpeg(feed.start())
    feed.put(picture(RED))
    news = feed.next_jpeg(feed.start())
    assert news is not None
    assert news[1] == bytes(RED)
