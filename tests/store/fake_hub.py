"""A hub on this machine: the part of the protocol that downloads need, and faults on demand.

Large files are redirected to another host, as the real hub does; small ones are served at once.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

LARGE_BYTES = 1000
"""From here on a file is stored apart and marked with its SHA-256."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one request for a file's bytes."""

    after_bytes: int = 0
    """Bytes of the body that still arrive."""
    stalls: bool = False
    """The connection stays open and silent; else it is cut."""
    ignores_range: bool = False
    """Everything is sent from the start, and without a fault."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A status that all requests for a file get."""

    status: int
    code: str = ""
    """The hub's own word for it, header X-Error-Code."""


@dataclass(slots=True)
class Stored:
    """One file of a repository."""

    content: bytes
    served: bytes | None = None
    """What is sent instead; None = the content."""
    faults: list[Fault] = field(default_factory=list)
    """Taken one by one, each by one request for bytes."""
    refusal: Refusal | None = None

    @property
    def etag(self) -> str:
        """The hub's mark: SHA-256 of large files, a git hash of small ones."""
        hashed = hashlib.sha256 if len(self.content) >= LARGE_BYTES else hashlib.sha1
        return hashed(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class Asked:
    """One request for bytes that the hub has seen."""

    path: str
    start: int


class FakeHub:
    """Serves until closed; ``files`` may change at any time."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], Stored] = {}
        """By repository and path."""
        self.commit = "c" * 40
        self.is_hub = True
        """False = answers without the headers of a hub, as a sign-in page does."""
        self.asked: list[Asked] = []
        self.over = threading.Event()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = False
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def store(self, repository: str, path: str, content: bytes) -> Stored:
        """Add or replace a file."""
        self.files[repository, path] = Stored(content)
        return self.files[repository, path]

    def starts_of(self, path: str) -> list[int]:
        """First byte of every request for a file's bytes, in order."""
        return [asked.start for asked in self.asked if asked.path == path]

    def close(self) -> None:
        """Let stalled requests end, then stop."""
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def end_headers(self) -> None:
        """Announce the end of the connection, so that no idle one outlives a test."""
        self.send_header("Connection", "close")
        super().end_headers()

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        place, _, rest = unquote(self.path).lstrip("/").partition("/resolve/")
        revision, _, path = rest.partition("/")
        is_apart = place.startswith("apart/")
        stored = self.hub.files.get((place.removeprefix("apart/"), path))
        if stored is None:
            known = {repository for repository, _ in self.hub.files}
            refusal = Refusal(404, "EntryNotFound" if place in known else "RepoNotFound")
            return self._refuse(refusal)
        if revision not in ("main", self.hub.commit):
            return self._refuse(Refusal(404, "RevisionNotFound"))
        if stored.refusal is not None:
            return self._refuse(stored.refusal)
        if len(stored.content) >= LARGE_BYTES and not is_apart:
            return self._redirect(place, path, stored)
        if not with_body:
            self.send_response(200)
            self._mark(stored.etag)
            self.send_header("Content-Length", str(len(stored.content)))
            return self.end_headers()
        return self._send(path, stored)

    def _refuse(self, refusal: Refusal) -> None:
        self.send_response(refusal.status)
        if refusal.code:
            self.send_header("X-Error-Code", refusal.code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _mark(self, etag: str) -> None:
        if self.hub.is_hub:
            self.send_header("X-Repo-Commit", self.hub.commit)
            self.send_header("ETag", f'"{etag}"')

    def _redirect(self, repository: str, path: str, stored: Stored) -> None:
        self.send_response(302)
        self._mark("0" * 40)
        self.send_header("X-Linked-ETag", f'"{stored.etag}"')
        self.send_header("X-Linked-Size", str(len(stored.content)))
        apart = f"http://localhost:{self.hub.port}/apart/{repository}/resolve/main/{path}"
        self.send_header("Location", apart)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, path: str, stored: Stored) -> None:
        body = stored.content if stored.served is None else stored.served
        wanted = self.headers.get("Range", "")
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        self.hub.asked.append(Asked(path, start))
        fault = stored.faults.pop(0) if stored.faults else None
        is_whole = not wanted or (fault is not None and fault.ignores_range)
        start = 0 if is_whole else start
        self.send_response(200 if is_whole else 206)
        self._mark(stored.etag)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        if fault is None or fault.ignores_range:
            self.wfile.write(body[start:])
            return
        self.wfile.write(body[start : start + fault.after_bytes])
        self.wfile.flush()
        if fault.stalls:
            self.hub.over.wait()
