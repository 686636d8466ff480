"""Decides who may talk to the control plane, before any route runs.

A page of another site, open in the same browser, can reach 127.0.0.1 too. So each request must name
us as its host, come from our own page or from no page at all, and carry the token. Knows no routes.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 64 * 1024
COOKIE = "liveedit_cam_token"
OWN_HOSTS = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request goes no further."""

    status: int
    """HTTP status code."""
    error: str
    hint: str

    def response(self) -> JSONResponse:
        """The refusal as the client sees it."""
        return JSONResponse({"error": self.error, "hint": self.hint}, self.status)


class Guard:
    """ASGI wrapper around the app: host, origin, token and size first, safe headers last."""

    def __init__(self, app: ASGIApp, token: str, content_policy: str) -> None:
        """Let those pass who know ``token``; ``content_policy`` is the page's CSP header."""
        self._app = app
        self._token = token
        self._headers = {
            "Content-Security-Policy": content_policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or refuse it."""
        if scope["type"] != "http":
            return  # no websocket, no lifespan: uvicorn closes what is not answered

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        request = Request(scope, receive)
        in_address = _take_from_address(request)
        refusal = (
            check_host(request)
            or check_origin(request)
            or check_token(request, in_address, self._token)
        )
        body = b""
        if refusal is None:
            read = await _read_body(request)
            if isinstance(read, Refusal):
                refusal = read
            else:
                body = read
        if refusal is not None:
            await refusal.response()(scope, receive, send_safely)
            return
        await self._app(scope, _replay(body, receive), send_safely)


def check_host(request: Request) -> Refusal | None:
    """Refuse a foreign Host: a foreign name that was made to resolve to 127.0.0.1."""
    host = request.headers.get("host", "")
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        name = None
    if name in OWN_HOSTS:
        return None
    return Refusal(403, f"host {host!r} is not this computer.", "Use http://127.0.0.1 instead.")


def check_origin(request: Request) -> Refusal | None:
    """Refuse a foreign Origin: a page of another site or of another port."""
    origin = request.headers.get("origin")
    if origin is None or origin == f"http://{request.headers['host']}":
        return None
    return Refusal(
        403, f"a page of {origin!r} may not control the camera.", "Open our own page for that."
    )


def check_token(request: Request, in_address: str, token: str) -> Refusal | None:
    """Refuse whoever shows no token: in the header, the cookie or the page's address."""
    kind, _, bearer = request.headers.get("authorization", "").partition(" ")
    in_header = bearer if kind.lower() == "bearer" else ""
    shown = (in_header, request.cookies.get(COOKIE, ""), in_address)
    if any(secrets.compare_digest(one.encode(), token.encode()) for one in shown):
        return None
    return Refusal(
        401,
        "the token is missing or wrong.",
        "Run `liveedit-cam status` for the page's address of today.",
    )


def _take_from_address(request: Request) -> str:
    """The token in the page's address, "" if none; the query is then emptied, lest it be logged."""
    if request.url.path != "/":
        return ""
    token = request.query_params.get("token", "")
    request.scope["query_string"] = b""
    return token


async def _read_body(request: Request) -> bytes | Refusal:
    """The whole body, at most MAX_BODY_BYTES; a longer one is never kept in memory."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            return Refusal(
                413,
                f"the request is longer than {MAX_BODY_BYTES} bytes.",
                "An instruction is a sentence or two: send less.",
            )
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives the body already read, then whatever comes next."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
