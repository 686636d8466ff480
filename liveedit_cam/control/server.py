"""Runs an app in a thread of its own: the control plane's, on 127.0.0.1 and nowhere else.

The port is taken before the thread starts, so that "port taken" is an error with a name and not a
line in a log. Knows nothing of the routes. A server of models is run the same way, on the host it
was told.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from liveedit_cam.control.connections import MAX_HEADER_BYTES, Connection, Seldom
from liveedit_cam.errors import ControlError

GRACE_S = 2
"""Seconds a request under way may take once the server stops."""
MAX_MESSAGE_BYTES = 4096
"""Longest message a page may send over a socket."""
BACKLOG = 512
"""Connections that wait to be accepted."""

_log = logging.getLogger(__name__)
_LOGGERS = (_log, logging.getLogger("uvicorn.error"))
"""Those whose lines a client can cause."""


def bind(port: int, host: str = "127.0.0.1") -> socket.socket:
    """Take a TCP port of ``host`` (0 = any free one). Raises ControlError if it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    if sys.platform != "win32":  # there it would let two programs share one port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise ControlError(
            f"port {port} of {host} cannot be used: {error.strerror or error}.",
            hint=f"Choose another with --port {port + 10 if port < 65_000 else 8642}"
            " (0 takes any free one).",
        ) from error
    return listener


class _Server(uvicorn.Server):
    """uvicorn's server, with an event for the moment it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(self._tell)
        await super().startup(sockets)
        self.is_ready.set()

    def _tell(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """One line for what the loop meets outside a request, such as no file descriptor left."""
        if not self.should_exit:  # a retry of the loop's may come after the port was closed
            _log.warning("%s: %s", context["message"], context.get("exception"))


class ControlServer:
    """The control plane's HTTP server. The thread that calls ``start`` also calls ``stop``."""

    def __init__(
        self,
        app: ASGIApp,
        listener: socket.socket,
        *,
        connection: type[Connection] = Connection,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        certificate: Path | None = None,
        key: Path | None = None,
    ) -> None:
        """Serve ``app`` on a socket of ``bind``, which this object closes in the end.

        ``certificate`` and ``key`` are PEM files; without them there is no TLS.
        """
        config = uvicorn.Config(
            app,
            http=connection,
            ws="wsproto",
            ws_max_size=max_message_bytes,
            ws_per_message_deflate=False,  # neither JPEGs nor packed planes get smaller
            loop="asyncio",
            backlog=BACKLOG,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            log_config=None,  # the program's own logging decides
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
        self.port: int = listener.getsockname()[1]
        self._listener = listener
        self._server = _Server(config)
        self._failure: BaseException | None = None
        self._seldom = Seldom()
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)

    def start(self) -> None:
        """Serve from now on; returns once requests are answered. Raises ControlError."""
        for logger in _LOGGERS:
            logger.addFilter(self._seldom)
        self._thread.start()
        self._server.is_ready.wait()
        if self._failure is not None:
            raise ControlError(
                f"the server did not start: {self._failure!r}.",
                hint="Run again with -v for the details.",
            ) from self._failure

    def stop(self) -> None:
        """Answer what is under way, close the port and join the thread. May be called twice."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        for logger in _LOGGERS:
            logger.removeFilter(self._seldom)
        self._listener.close()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listener])
        except (Exception, SystemExit) as error:  # noqa: BLE001 - kept for start() to raise
            self._failure = error
        finally:
            self._server.is_ready.set()
