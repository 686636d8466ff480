"""The control plane: routes over the Controller, and the web page. Owns fastapi.

Who may call is decided in ``guard``; what a command means is decided in the Controller. A route
parses, calls and answers; an error is a JSON object with what was wrong and what to do.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, replace
from importlib import resources
from typing import Annotated

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException

from liveedit_cam.control.bodies import InstructionBody, LatencyBody, ModeBody, PictureBody
from liveedit_cam.control.choices import add_choices
from liveedit_cam.control.guard import Guard
from liveedit_cam.control.history import History
from liveedit_cam.control.looks import add_looks
from liveedit_cam.control.metrics import add_metrics
from liveedit_cam.control.pictures import BOUNDARY, MAX_FPS, Pictures, Side, TooManyViewers
from liveedit_cam.control.recording import add_recording
from liveedit_cam.control.room import add_room
from liveedit_cam.control.state import picture_key
from liveedit_cam.control.waiting import TooManyWaiting, Until, Waiting
from liveedit_cam.control.wire import MAX_POLL_S, answer_of, status_to_json
from liveedit_cam.errors import InstructionError, LiveEditError, shown
from liveedit_cam.presets import Commands
from liveedit_cam.types import Region

PAGE_FILES = "/page/"
KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css",
    "js": "text/javascript",
    "jpg": "image/jpeg",
    "svg": "image/svg+xml",
}
"""Ending of a file of the page -> its media type; others are not given out."""
CONTENT_POLICY = "; ".join(
    [
        "default-src 'none'",
        "connect-src 'self' ws://{host}",  # not every browser counts the socket as 'self'
        "img-src 'self' blob:",
        "script-src 'self'",
        "style-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
"""The page's Content-Security-Policy: nothing but its own files, and nothing inline."""


def create_app(
    controller: Commands,
    token: str,
    on_stop: Callable[[], None],
    *,
    renew_token: Callable[[], str] = lambda: secrets.token_urlsafe(32),
    history: History | None = None,
    picture_fps: float = MAX_FPS,
) -> FastAPI:
    """Build the app for one run.

    ``token`` opens it until ``renew_token`` makes another; ``on_stop`` is called when a client asks
    the daemon to end and must return at once. Both are called from a worker thread. ``history``
    None = the plots begin empty. Pictures are made up to ``picture_fps`` times a second.
    """
    app = FastAPI(
        title="liveedit-cam", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json"
    )
    keys = _Keys(token, renew_token)
    app.add_middleware(Guard, may_ask=keys.may_ask, content_policy=CONTENT_POLICY)
    _add_error_answers(app)
    _add_commands(app, controller)
    _add_ends(app, keys, on_stop)
    _add_waiting(app, controller)
    add_looks(app, controller)
    add_recording(app, controller)
    add_choices(app, controller)
    pictures = Pictures(lambda: controller.shown(), max_fps=picture_fps)
    _add_pictures(app, pictures)
    add_room(app, controller, pictures)
    _add_figures(app, history or History())
    add_metrics(app, lambda: controller.status())
    _add_page(app)
    return app


class _Keys:
    """Everything is open to the token, the pictures to their key as well, the page to everybody.

    The page itself holds nothing of the run: it reads the token from its own address. Any thread.
    """

    _PICTURES = frozenset(f"/{side}.{kind}" for side in Side for kind in ("jpg", "mjpeg"))
    _SOCKET = "/pictures"

    def __init__(self, token: str, renew: Callable[[], str]) -> None:
        self._token = token
        self._renew = renew

    def renew(self) -> str:
        """Another token in place of this one. Raises ControlError, and leaves it then."""
        self._token = self._renew()
        return self._token

    def may_ask(self, path: str, secret: str) -> bool:
        token = self._token
        is_token = secrets.compare_digest(secret.encode(), token.encode())
        is_key = secrets.compare_digest(secret.encode(), picture_key(token).encode())
        is_page = path == "/" or path.startswith(PAGE_FILES)
        is_picture = path in self._PICTURES or path == self._SOCKET
        return is_page or is_token or (is_key and is_picture)


def _add_page(app: FastAPI) -> None:
    """The page and its parts: files of the package, which hold nothing of the run."""
    folder = resources.files("liveedit_cam.control").joinpath("page")
    files = {one.name: one.read_bytes() for one in folder.iterdir() if one.is_file()}

    @app.get("/", include_in_schema=False)
    def show_page() -> Response:
        return Response(files["index.html"], media_type="text/html; charset=utf-8")

    @app.get(PAGE_FILES + "{name}", include_in_schema=False)
    def page_file(name: str) -> Response:
        kind = KINDS.get(name.rpartition(".")[2])
        if name not in files or kind is None:
            raise HTTPException(404)
        return Response(files[name], media_type=kind)


def _add_commands(app: FastAPI, controller: Commands) -> None:
    @app.post("/api/instruction", status_code=202)
    def instruct(body: InstructionBody, request: Request) -> JSONResponse:
        try:
            accepted = controller.instruct(
                body.prompt,
                strength=body.strength,
                region=None if body.region is None else Region(**body.region.model_dump()),
                seed=body.seed,
                transition_s=body.transition_s,
                origin="web" if "origin" in request.headers else "cli",
            )
        except InstructionError as error:  # the other fields are checked: it is about the text
            return JSONResponse({"field": "prompt", "reason": str(error)}, 422)
        return JSONResponse({"revision": accepted.revision, "prompt": accepted.prompt}, 202)

    @app.post("/api/mode")
    def set_mode(body: ModeBody) -> JSONResponse:
        controller.set_mode(body.mode)
        return JSONResponse(answer_of(controller.status(), mode=body.mode.value))

    @app.post("/api/latency")
    def set_latency(body: LatencyBody) -> JSONResponse:
        controller.set_latency(body.latency)
        return JSONResponse(answer_of(controller.status(), latency=body.latency.value))

    @app.post("/api/picture")
    def set_picture(body: PictureBody) -> JSONResponse:
        controller.set_picture(body.fit, body.mirror)
        found = controller.status()
        return JSONResponse(answer_of(found, fit=found.fit.value, mirror=found.mirror))

    @app.get("/api/status")
    def status() -> Response:
        return Response(status_to_json(controller.status()), media_type="application/json")


def _add_ends(app: FastAPI, keys: _Keys, on_stop: Callable[[], None]) -> None:
    @app.post("/api/token")
    def renew_token() -> JSONResponse:
        return JSONResponse({"token": keys.renew()})

    @app.post("/api/stop", status_code=202)
    def stop() -> JSONResponse:
        on_stop()
        return JSONResponse({"stopping": True}, 202)


def _add_waiting(app: FastAPI, controller: Commands) -> None:
    waiting = Waiting(lambda revision: controller.wait_settled(revision, 0.0))

    @app.get("/api/wait")
    async def wait(
        request: Request,
        revision: Annotated[int, Query(ge=1)],
        until: Until = Until.VISIBLE,
        timeout_s: Annotated[float, Query(ge=0, le=MAX_POLL_S, allow_inf_nan=False)] = MAX_POLL_S,
    ) -> JSONResponse:
        try:
            found = await waiting.wait(revision, until, timeout_s, has_left=request.is_disconnected)
        except TooManyWaiting as error:
            return _unavailable(str(error))
        if found.visible_s is not None:
            found = replace(found, changed=controller.status().changed)
        return JSONResponse(asdict(found))


def _add_figures(app: FastAPI, history: History) -> None:
    @app.get("/api/history")
    def figures() -> JSONResponse:
        """The figures of the last five minutes, one a second."""
        return JSONResponse(history.columns(time.monotonic()))


def _add_pictures(app: FastAPI, pictures: Pictures) -> None:
    @app.get("/{side}.jpg")
    async def picture(side: Side, seen: Annotated[int, Query(ge=0)] = 0) -> Response:
        """Another picture than number ``seen``; 204 where there is none for a second."""
        try:
            with pictures.viewer():
                found = await pictures.next(side, seen)
        except TooManyViewers as error:
            return _unavailable(str(error))
        if found is None:
            return Response(status_code=204)
        headers = {"X-Picture": str(found.number)}
        return Response(found.jpeg, media_type="image/jpeg", headers=headers)

    @app.get("/{side}.mjpeg", response_model=None)
    async def stream(side: Side) -> Response:
        """All pictures, for programs that play motion JPEG."""
        if pictures.is_full:
            return _unavailable("too many are looking already.")

        async def parts() -> AsyncIterator[bytes]:
            with pictures.viewer():
                async for part in pictures.stream(side):
                    yield part

        kind = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
        return StreamingResponse(parts(), media_type=kind)


def _unavailable(reason: str) -> JSONResponse:
    return JSONResponse({"error": reason, "hint": "Try again in a moment."}, 503)


def _add_error_answers(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    def not_valid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = [str(part) for part in first["loc"] if part not in ("body", "query", "path")]
        reason = f"{first['msg']}, got {shown(first['input'])}."
        return JSONResponse({"field": ".".join(where) or "body", "reason": reason}, 422)

    @app.exception_handler(LiveEditError)
    def refused(request: Request, error: LiveEditError) -> JSONResponse:
        return JSONResponse({"error": error.message, "hint": error.hint}, 409)

    @app.exception_handler(HTTPException)
    def not_found(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse(
            {"error": f"{request.method} {request.url.path}: {error.detail}.", "hint": None},
            error.status_code,
        )

    @app.exception_handler(Exception)
    def broken(request: Request, error: Exception) -> JSONResponse:
        """Answer as JSON; the framework raises the error again, so the log has its traceback."""
        return JSONResponse(
            {"error": f"the daemon made a mistake: {error!r}.", "hint": "See its log."}, 500
        )
