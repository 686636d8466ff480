"""Source and edited picture side by side in a browser, as MJPEG on 127.0.0.1. Knows no device.

Only who has the address can look: every path wants the random key in it, and the Host header must
name this machine, so neither another web page nor another user reads the camera. A JPEG is made
only while somebody watches, and a slow browser loses pictures, never the writer's time.
"""

from __future__ import annotations

import errno
import hmac
import logging
import os
import secrets
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qs, urlsplit

from liveedit_cam.errors import SinkError, UsageError
from liveedit_cam.pacing import Pacer
from liveedit_cam.pixels import fit, jpeg
from liveedit_cam.protocols import Sink
from liveedit_cam.sinks._checks import check_size
from liveedit_cam.sinks._preview_page import page

if TYPE_CHECKING:
    from liveedit_cam.types import Frame, Pixels

    Encode = Callable[[Pixels], bytes]

log = logging.getLogger(__name__)

DEFAULT_PORT = 8643
MAX_FPS = 15.0
MAX_WIDTH = 640
MAX_VIEWERS = 16
"""Streams at a time, two for each page; more are refused."""
SEND_TIMEOUT_S = 10.0
"""A browser that takes nothing for so long is let go."""
_JPEG_QUALITY = 80
_BOUNDARY = b"frame"


def describe() -> str:
    """One line of help."""
    return f"preview[:PORT]  a page on this machine, port {DEFAULT_PORT}; 0 = any free port"


def create(target: str, *, width: int, height: int, fps: float) -> Sink:
    """Start serving. Raises UsageError on a bad port and SinkError where it is taken."""
    return Preview(_parse_port(target), width, height, fps)


class Feed:
    """The newest picture and its JPEG; written by one thread, read by one thread per viewer."""

    def __init__(self, encode: Encode, pacer: Pacer) -> None:
        """``pacer`` bounds how often ``encode`` is called, however many look on."""
        self._encode = encode
        self._pacer = pacer
        self._changed = threading.Condition()  # guards the three below
        self._pixels: Pixels | None = None
        self._number = 0
        self._is_closed = False
        self._encoding = threading.Lock()  # guards the pacer and the JPEG
        self._jpeg = (0, b"")

    def put(self, pixels: Pixels) -> None:
        """Make ``pixels`` (H, W, 3) RGB the newest; encodes nothing and never waits for viewers."""
        with self._changed:
            self._pixels = pixels
            self._number += 1
            self._changed.notify_all()

    def start(self) -> int:
        """Where a new viewer begins: just before the newest picture."""
        with self._changed:
            return max(0, self._number - 1)

    def next_jpeg(self, after: int) -> tuple[int, bytes] | None:
        """Wait for a picture newer than number ``after``: its number and JPEG; None once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._number > after)
        with self._encoding:
            if self._jpeg[0] <= after and self._pacer.wait() is not None:
                with self._changed:
                    number, pixels = self._number, self._pixels
                if pixels is not None:
                    self._jpeg = (number, self._encode(pixels))
            return None if self._is_closed else self._jpeg

    def close(self) -> None:
        """Let all waiting viewers go."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()


class Preview:
    """The web page as a Sink; serves from a thread of its own."""

    def __init__(
        self,
        port: int,
        width: int,
        height: int,
        fps: float,
        *,
        max_fps: float = MAX_FPS,
        encode: Encode | None = None,
    ) -> None:
        """``encode`` None makes JPEGs at most 640 pixels wide. Raises SinkError: port taken."""
        encode = encode or _small_jpeg
        self._size = (width, height)
        self._closing = threading.Event()
        self._source = Feed(encode, Pacer(max_fps, sleep=self._closing.wait))
        self._edited = Feed(encode, Pacer(max_fps, sleep=self._closing.wait))
        key = secrets.token_urlsafe(16)
        feeds = {"/source.mjpeg": self._source, "/edited.mjpeg": self._edited}
        self._server = _listen(port, key, feeds)
        address = f"127.0.0.1:{self._server.server_address[1]}"
        self.url: str | None = f"http://{address}/?key={key}"
        self.name = f"preview:{address} ({width}x{height} at {fps:g} fps)"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="preview", daemon=True
        )
        self._thread.start()

    def write(self, frame: Frame) -> None:
        """Show one frame; without its source picture the edited one stands on both sides."""
        if self._closing.is_set():
            raise SinkError(f"{self.name} is closed.")
        check_size(frame, *self._size, self.name)
        self._edited.put(frame.pixels)
        self._source.put(frame.pixels if frame.source is None else frame.source)

    def close(self) -> None:
        """Let the viewers go and free the port."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._source.close()
        self._edited.close()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    """Owns what the handlers share: the key, the feeds, the places for viewers."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = os.name == "posix"  # elsewhere it would let two programs share a port

    def __init__(self, port: int, key: str, feeds: dict[str, Feed]) -> None:
        self.key = key
        self.feeds = feeds
        self.places = threading.BoundedSemaphore(MAX_VIEWERS)
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Log what one request ran into; the server goes on."""
        log.warning("a preview request failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """One request of one browser."""

    timeout = SEND_TIMEOUT_S
    server_version = "liveedit-cam"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer one of the three paths, or refuse."""
        server = cast("_Server", self.server)
        url = urlsplit(self.path)
        if not _is_local(self.headers.get_all("Host") or []):
            self._refuse(HTTPStatus.FORBIDDEN, "Open this page by the address 127.0.0.1.")
        elif not _is_key(parse_qs(url.query).get("key", [""])[0], server.key):
            self._refuse(HTTPStatus.FORBIDDEN, "The key is missing or wrong; see the status.")
        elif url.path == "/":
            self._answer(HTTPStatus.OK, "text/html; charset=utf-8", page(server.key).encode())
        elif url.path not in server.feeds:
            self._refuse(HTTPStatus.NOT_FOUND, "There are /, /source.mjpeg and /edited.mjpeg.")
        elif not server.places.acquire(blocking=False):
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, f"{MAX_VIEWERS} viewers are watching.")
        else:
            try:
                self._stream(server.feeds[url.path])
            finally:
                server.places.release()

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet: the request line holds the key."""

    def _stream(self, feed: Feed) -> None:
        kind = f"multipart/x-mixed-replace; boundary={_BOUNDARY.decode()}"
        self._begin(HTTPStatus.OK, kind)
        number = feed.start()
        try:
            self.wfile.write(b"--%s\r\n" % _BOUNDARY)
            while (news := feed.next_jpeg(number)) is not None:
                number, data = news
                head = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data)
                # The boundary closes the part at once; browsers draw a part when they see its end.
                self.wfile.write(head + data + b"\r\n--%s\r\n" % _BOUNDARY)
        except OSError as error:
            log.debug("a viewer left: %s", error)

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        self._answer(status, "text/plain; charset=utf-8", f"{text}\n".encode())

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self._begin(status, kind, len(body))
        self.wfile.write(body)

    def _begin(self, status: HTTPStatus, kind: str, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "cross-origin")
        self.send_header(
            "Content-Security-Policy",
            "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'",
        )
        self.end_headers()


def _listen(port: int, key: str, feeds: dict[str, Feed]) -> _Server:
    try:
        return _Server(port, key, feeds)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        reason = "is taken by another program" if taken else f"cannot be used: {error.strerror}"
        raise SinkError(
            f"Port {port} on 127.0.0.1 {reason}.",
            hint="Choose another, such as preview:8650, or preview:0 for any free one.",
        ) from error


def _parse_port(target: str) -> int:
    if not target:
        return DEFAULT_PORT
    if target.isdecimal() and int(target) <= 65535:
        return int(target)
    raise UsageError(
        f"Got the preview port {target!r}, expected a number from 0 to 65535.",
        hint=f"Such as preview:{DEFAULT_PORT}, or preview:0 for any free one.",
    )


def _is_local(hosts: list[str]) -> bool:
    """Whether the one Host header names this machine; another name is a rebound DNS entry."""
    if len(hosts) != 1:
        return False
    name, _, port = hosts[0].strip().lower().partition(":")
    return name in ("127.0.0.1", "localhost") and (not port or port.isdecimal())


def _is_key(given: str, key: str) -> bool:
    return hmac.compare_digest(given.encode(), key.encode())


def _small_jpeg(pixels: Pixels) -> bytes:
    height, width = pixels.shape[:2]
    if width > MAX_WIDTH:
        pixels = fit(pixels, MAX_WIDTH, max(1, round(height * MAX_WIDTH / width)))
    return jpeg(pixels, _JPEG_QUALITY)
