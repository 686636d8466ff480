"""Decides who may talk to the control plane, before any route runs.

A page of another site, open in the same browser, can reach 127.0.0.1 too. So each request must name
us as its host, come from our own page or from no page at all, and carry a secret in its
Authorization header. No cookie and no address ever holds one: a browser sends cookies to every port
of this computer, also to that of another user. Knows no routes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 64 * 1024
BODY_TIMEOUT_S = 10.0
"""Longest time a body may take to arrive."""
OWN_HOSTS = ("127.0.0.1", "localhost", "::1")

PROTOCOL = "liveedit-cam"
"""Subprotocol of our sockets. A page names the secret behind it, as ``secret.SECRET``: a browser
lets it set no header, and an address would be logged."""

MayAsk = Callable[[str, str], bool]
"""Whether a path is open to whoever shows that secret ("" = none): ``(path, secret)``."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request goes no further."""

    status: int
    """HTTP status code."""
    error: str
    hint: str

    def response(self) -> JSONResponse:
        """The refusal as the client sees it; what else it sends is not read."""
        body = {"error": self.error, "hint": self.hint}
        return JSONResponse(body, self.status, {"Connection": "close"})


class Guard:
    """ASGI wrapper around the app: host, origin, secret and size first, safe headers last."""

    def __init__(
        self,
        app: ASGIApp,
        may_ask: MayAsk,
        content_policy: str,
        *,
        body_timeout_s: float = BODY_TIMEOUT_S,
    ) -> None:
        """Let those pass who may ask; ``content_policy`` is the page's CSP header, with ``{host}``
        for the host that the page was asked from.
        """
        self._app = app
        self._may_ask = may_ask
        self._body_timeout_s = body_timeout_s
        self._content_policy = content_policy
        self._headers = {
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or refuse it."""
        if scope["type"] == "websocket":
            await self._pass_socket(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no lifespan
        request = Request(scope, receive)
        host = "127.0.0.1" if check_host(request) else request.headers["host"]
        headers = {
            **self._headers,
            "Content-Security-Policy": self._content_policy.replace("{host}", host),
        }

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        refusal = check_host(request) or check_origin(request) or self._check_secret(request)
        body = b""
        if refusal is None:
            try:
                read = await _read_body(request, self._body_timeout_s)
            except ClientDisconnect:
                return  # nobody is there to be answered
            if isinstance(read, Refusal):
                refusal = read
            else:
                body = read
        if refusal is not None:
            await refusal.response()(scope, receive, send_safely)
            return
        await self._app(scope, _replay(body, receive), send_safely)

    async def _pass_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a socket on, or refuse it: HTTP 403, which is all a page ever learns of it."""
        request = HTTPConnection(scope)
        offered = [one.partition("secret.") for one in scope["subprotocols"]]
        secret = next((given for before, is_it, given in offered if is_it and not before), "")
        is_refused = check_host(request) or check_origin(request)
        if is_refused or not self._may_ask(request.url.path, secret):
            await send({"type": "websocket.close"})
            return
        await self._app(scope, receive, send)

    def _check_secret(self, request: Request) -> Refusal | None:
        """Refuse whoever shows no secret, or one that does not open this path."""
        kind, _, bearer = request.headers.get("authorization", "").partition(" ")
        secret = bearer if kind.lower() == "bearer" else ""
        if self._may_ask(request.url.path, secret):
            return None
        return Refusal(
            401,
            "the token is missing or wrong.",
            "Run `liveedit-cam page` for the page's address.",
        )


def check_host(request: HTTPConnection) -> Refusal | None:
    """Refuse a foreign Host: a foreign name that was made to resolve to 127.0.0.1."""
    host = request.headers.get("host", "")
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        name = None
    if name in OWN_HOSTS:
        return None
    return Refusal(403, f"host {host!r} is not this computer.", "Use http://127.0.0.1 instead.")


def check_origin(request: HTTPConnection) -> Refusal | None:
    """Refuse a foreign Origin: a page of another site or of another port."""
    origin = request.headers.get("origin")
    if origin is None or origin == f"http://{request.headers['host']}":
        return None
    return Refusal(
        403, f"a page of {origin!r} may not control the camera.", "Open our own page for that."
    )


async def _read_body(request: Request, timeout_s: float) -> bytes | Refusal:
    """The whole body, at most MAX_BODY_BYTES; a longer one is never kept in memory."""
    body = b""
    try:
        async with asyncio.timeout(timeout_s):
            async for part in request.stream():
                body += part
                if len(body) > MAX_BODY_BYTES:
                    return Refusal(
                        413,
                        f"the request is longer than {MAX_BODY_BYTES} bytes.",
                        "An instruction is a sentence or two: send less.",
                    )
    except TimeoutError:
        return Refusal(
            408, f"the request was not complete after {timeout_s:g} s.", "Send it again, whole."
        )
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives the body already read, then whatever comes next."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
