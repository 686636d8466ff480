"""One host process without a cluster: the app on a port of this computer. Knows no Ray."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI

from liveedit_cam.control.connections import Connection, Limits
from liveedit_cam.control.server import ControlServer, bind
from liveedit_cam.errors import UsageError
from liveedit_cam.remote.address import is_loopback
from liveedit_cam.remote.messages import MAX_MESSAGE_BYTES
from liveedit_cam.service.app import add_routes
from liveedit_cam.service.host import SessionHost


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
        return bind(self.port, self.host)


class CameraConnection(Connection):
    """A camera, or one that wants to be: there may be more of them than viewers of a page."""

    limits = Limits(max_connections=1024)


class PlainServer(ControlServer):
    """The host's app in a thread. Who calls ``start`` also calls ``stop``."""

    def __init__(self, host: SessionHost, listen: Listen) -> None:
        """Take the port. Raises UsageError, ControlError."""
        listen.check()
        app = FastAPI(openapi_url=None)
        add_routes(app, lambda: host)
        super().__init__(
            app,
            listen.bind(),
            connection=CameraConnection,
            max_message_bytes=MAX_MESSAGE_BYTES,
            certificate=listen.certificate,
            key=listen.key,
        )
