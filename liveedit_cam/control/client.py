"""Talks to the running daemon over HTTP. Standard library only: ``liveedit-cam edit`` is instant.

Knows the address files and the JSON, nothing of what the daemon does.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from liveedit_cam.control.state import DaemonAddress, read_address, read_starting
from liveedit_cam.control.wire import MAX_POLL_S, Accepted, status_from_json
from liveedit_cam.errors import ControlError, InstructionError
from liveedit_cam.types import Choice, LatencyMode, Mode, Region, Settled, Status

TIMEOUT_S = 5.0
"""Longest wait for an answer that needs no work; a wait for an instruction adds its own."""

FINISH_S = 30.0
"""Longest wait for what needs a device or a disk: a choice, the end of a recording."""


def find_daemon(folder: Path) -> ControlClient:
    """Client of the daemon that left its address in ``folder``. Raises ControlError."""
    starting = read_starting(folder)
    if starting is not None:
        raise ControlError(
            f"liveedit-cam is still starting (process {starting}).",
            hint="Try again in a moment.",
        )
    address = read_address(folder)
    if address is None or address.port == 0:
        raise not_running()
    return ControlClient(address)


class ControlClient:
    """One method per command. No connection is kept; any thread may call."""

    def __init__(self, address: DaemonAddress) -> None:
        """Remember whom to call; nothing is sent yet."""
        self.address = address

    def instruct(
        self, prompt: str, *, strength: float, region: Region | None, seed: int
    ) -> Accepted:
        """Hand in an instruction. Raises InstructionError if refused, ControlError if not there."""
        body = {
            "prompt": prompt,
            "strength": strength,
            "region": None if region is None else asdict(region),
            "seed": seed,
        }
        answer = self._call("POST", "/api/instruction", body)
        return Accepted(revision=answer["revision"], prompt=answer["prompt"])

    def set_mode(self, mode: Mode) -> Mode:
        """Change what the sinks show; returns the mode now in force. Raises ControlError."""
        return Mode(self._call("POST", "/api/mode", {"mode": mode.value})["mode"])

    def set_latency(self, latency: LatencyMode) -> LatencyMode:
        """Edit every picture at once or each exactly; what is now in force. Raises ControlError."""
        answer = self._call("POST", "/api/latency", {"latency": latency.value})
        return LatencyMode(answer["latency"])

    def choices(self) -> dict[Choice, list[tuple[str, str]]]:
        """Value and words for people of what the computer has. Raises ControlError."""
        answer = self._call("GET", "/api/choices", timeout_s=FINISH_S)
        return {
            Choice(what): [(one["value"], one["text"]) for one in several]
            for what, several in answer.items()
        }

    def choose(self, what: Choice, value: str, *, is_trial: bool) -> tuple[str, int]:
        """Try another source, sink, model or steps, or take it; its name and the revision.

        The revision is that of the newest instruction, which goes on. Raises ControlError,
        InstructionError.
        """
        body = {"what": what.value, "value": value, "is_trial": is_trial}
        answer = self._call("POST", "/api/choice", body, timeout_s=FINISH_S)
        return str(answer["name"]), int(answer["revision"])

    def set_picture(self, fit: str | None, mirror: bool | None) -> tuple[str, bool]:
        """How the picture fills the sinks, None = as it is; both as they are now. ControlError."""
        wanted = {"fit": fit, "mirror": mirror}
        body = {name: value for name, value in wanted.items() if value is not None}
        answer = self._call("POST", "/api/picture", body)
        return answer["fit"], answer["mirror"]

    def apply_preset(self, name: str) -> str:
        """Put a preset into force; returns its name. Raises InstructionError, ControlError."""
        return str(self._call("POST", "/api/preset", {"name": name})["name"])

    def start_recording(
        self, path: Path | None, *, with_source: bool, badge: bool, microphone: str | None = None
    ) -> str:
        """Record beside the run; the file it goes to. Raises ControlError, InstructionError."""
        body = {
            "path": None if path is None else str(path),
            "with_source": with_source,
            "badge": badge,
            "microphone": microphone,
        }
        return str(self._call("POST", "/api/recording", body)["path"])

    def stop_recording(self) -> tuple[list[str], float]:
        """End the recording; its files and its length in seconds. Raises ControlError."""
        answer = self._call("DELETE", "/api/recording", timeout_s=FINISH_S)
        return answer["files"], float(answer["seconds"])

    def snapshot(self) -> bytes:
        """The edited picture at its full size, as JPEG; empty before the first. ControlError."""
        code, data = self._ask("GET", "/snapshot.jpg")
        if code == 200 and data.startswith(b"\xff\xd8"):
            return data
        return b"" if code == 204 else bytes(self._read(code, data))

    def status(self) -> Status:
        """One snapshot of the daemon. Raises ControlError."""
        answer = self._call("GET", "/api/status")
        try:
            return status_from_json(answer)
        except (ValueError, KeyError, TypeError) as error:
            raise self._strange(f"a status this version does not know ({error})") from error

    def wait_encoded(self, revision: int, timeout_s: float) -> Settled:
        """What becomes of an instruction until the engine has read it. Raises ControlError.

        ``timeout_s`` at most 25 seconds; where they pass, what is known then.
        """
        return self._wait(revision, "encoded", timeout_s)

    def wait_visible(
        self, revision: int, timeout_s: float, now: Callable[[], float] = time.monotonic
    ) -> Settled:
        """What becomes of an instruction until it is visible or refused. Raises ControlError.

        Where ``timeout_s`` seconds pass, what is known then.
        """
        give_up_at = now() + timeout_s
        while True:
            left_s = max(0.0, give_up_at - now())
            found = self._wait(revision, "visible", min(left_s, MAX_POLL_S))
            if found.is_final or left_s <= MAX_POLL_S:
                return found

    def _wait(self, revision: int, until: str, timeout_s: float) -> Settled:
        path = f"/api/wait?revision={revision}&until={until}&timeout_s={timeout_s}"
        answer = self._call("GET", path, timeout_s=timeout_s + TIMEOUT_S)
        try:
            return Settled(**answer)
        except TypeError as error:
            raise self._strange(f"an answer this version does not know ({error})") from error

    def renew_token(self) -> DaemonAddress:
        """Have another token made; the one before opens nothing any more. Raises ControlError."""
        token = self._call("POST", "/api/token", {})["token"]
        return replace(self.address, token=token)

    def stop(self) -> None:
        """Ask the daemon to end; it answers at once and ends soon after. Raises ControlError."""
        self._call("POST", "/api/stop", {})

    def _call(
        self, method: str, path: str, body: object = None, timeout_s: float = TIMEOUT_S
    ) -> Any:
        return self._read(*self._ask(method, path, body, timeout_s))

    def _ask(
        self, method: str, path: str, body: object = None, timeout_s: float = TIMEOUT_S
    ) -> tuple[int, bytes]:
        sent = b"" if body is None else json.dumps(body).encode()
        request = (
            f"{method} {path} HTTP/1.0\r\n"
            f"Host: 127.0.0.1:{self.address.port}\r\n"
            f"Authorization: Bearer {self.address.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(sent)}\r\n\r\n"
        )
        try:
            return _exchange(self.address.port, request.encode() + sent, timeout_s)
        except ConnectionRefusedError as error:
            raise not_running() from error
        except TimeoutError as error:
            raise ControlError(
                f"liveedit-cam (process {self.address.pid}) gave no answer for {timeout_s:.0f} s.",
                hint=f"See its log, or end process {self.address.pid} and start it again.",
            ) from error
        except (OSError, ValueError) as error:
            raise self._strange(repr(error)) from error

    def _read(self, code: int, text: bytes) -> Any:
        """The answer's JSON object, or the error it stands for."""
        try:
            answer = json.loads(text)
            if code < 400:
                return answer
            if code == 422:
                raise InstructionError(f"{answer['field']}: {answer['reason']}")
            raise ControlError(answer["error"], hint=answer["hint"])
        except (ValueError, KeyError, TypeError) as error:
            raise self._strange(f"HTTP {code} {text[:80]!r}") from error

    def _strange(self, what: str) -> ControlError:
        return ControlError(
            f"port {self.address.port} gave {what}, not an answer of liveedit-cam.",
            hint="Another program may use that port, or another version runs: stop it and start"
            " liveedit-cam again.",
        )


def _exchange(port: int, request: bytes, timeout_s: float) -> tuple[int, bytes]:
    """Status code and body of one HTTP/1.0 request, after which the server hangs up.

    http.client would do the same and takes longer to import than the whole of this package: it
    brings e-mail and TLS. Raises OSError, ValueError where the answer is no HTTP.
    """
    with socket.create_connection(("127.0.0.1", port), timeout_s) as connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    head, _, text = answer.partition(b"\r\n\r\n")
    protocol, _, told = head.partition(b" ")
    if not protocol.startswith(b"HTTP/1."):
        raise ValueError(f"no HTTP: {answer[:80]!r}")
    return int(told[:3]), text


def not_running() -> ControlError:
    """The error for whoever looks for a daemon where there is none."""
    return ControlError(
        "no liveedit-cam is running.", hint="Start one with `liveedit-cam run` and try again."
    )
