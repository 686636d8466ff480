"""The smallest streaming service: takes one RTMP stream on 127.0.0.1 and throws it away."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

import av
from real_obs import free_port, wait_until

PATIENCE_S = 10


class RtmpServer:
    """A context manager; gives the address OBS wants, and has ended with the stream."""

    def __init__(self) -> None:
        self._port = free_port()
        self._thread = threading.Thread(target=self._serve, name="rtmp-server", daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        wait_until(self._is_taken, PATIENCE_S, "the RTMP server listens")
        return f"rtmp://127.0.0.1:{self._port}/live"

    def __exit__(self, *error: object) -> None:
        self._thread.join(PATIENCE_S)

    def _serve(self) -> None:
        options = {"listen": "1", "timeout": str(PATIENCE_S)}
        url = f"rtmp://127.0.0.1:{self._port}/live/k"
        # It ends with an error: nobody comes, or OBS leaves as a streamer does.
        with suppress(av.FFmpegError), av.open(url, options=options) as stream:
            for _ in stream.demux():
                pass

    def _is_taken(self) -> bool:
        """Whether the port cannot be bound; a connection would be taken for the stream."""
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", self._port))
            except OSError:
                return True
            return False
