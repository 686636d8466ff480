"""One host process without a cluster: the app on a port of this computer. Knows no Ray."""

from __future__ import annotations

import logging
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from liveedit_cam.errors import ControlError, UsageError
from liveedit_cam.remote.address import is_loopback
from liveedit_cam.remote.messages import MAX_MESSAGE_BYTES
from liveedit_cam.service.app import add_routes
from liveedit_cam.service.host import SessionHost

GRACE_S = 2
"""Seconds an answer under way may take once the server stops."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a server answers, and with which certificate."""

    host: str = "127.0.0.1"
    port: int = 8650
    certificate: Path | None = None
    """PEM file; None = no TLS."""
    key: Path | None = None
    """PEM file; None = it is in the certificate's file."""
    has_tls_in_front: bool = False
    """Whether somebody else (a proxy, a load balancer) does TLS."""

    def check(self) -> None:
        """Raises UsageError where pictures and tokens would cross a network readable."""
        for file in (self.certificate, self.key):
            if file is not None and not file.is_file():
                raise UsageError(f"got {file} as certificate or key, which is no file")
        if self.certificate is None and not is_loopback(self.host) and not self.has_tls_in_front:
            raise UsageError(
                f"got --host {self.host} without a certificate: pictures and tokens could be read "
                "on the way",
                hint="Give --certificate and --key, or --tls-in-front where a proxy does TLS.",
            )

    def bind(self) -> socket.socket:
        """Take the port (0 = any free one). Raises ControlError."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.host, self.port))
            listener.listen()
        except OSError as error:
            listener.close()
            raise ControlError(
                f"port {self.port} of {self.host} cannot be used: {error.strerror or error}.",
                hint="Choose another with --port (0 takes any free one).",
            ) from error
        return listener


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_ready.set()


class PlainServer:
    """The app in a thread. Who calls ``start`` also calls ``stop``."""

    def __init__(self, host: SessionHost, listen: Listen) -> None:
        """Take the port. Raises UsageError, ControlError."""
        listen.check()
        self._listener = listen.bind()
        self.port: int = self._listener.getsockname()[1]
        app = FastAPI(openapi_url=None)
        add_routes(app, lambda: host)
        config = uvicorn.Config(
            app,
            ws="wsproto",
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_per_message_deflate=False,  # neither JPEGs nor packed planes get smaller
            loop="asyncio",
            log_config=None,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
            ssl_certfile=listen.certificate,
            ssl_keyfile=listen.key,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._run, name="serve", daemon=True)
        self._failure: BaseException | None = None

    def start(self) -> None:
        """Answer from now on. Raises ControlError."""
        self._thread.start()
        self._server.is_ready.wait()
        if self._failure is not None:
            raise ControlError(f"the server did not start: {self._failure!r}") from self._failure

    def stop(self) -> None:
        """Close connections and port. May be called twice."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listener])
        except (Exception, SystemExit) as error:  # noqa: BLE001 - kept for start() to raise
            self._failure = error
        finally:
            self._server.is_ready.set()
