"""Routes of the recording beside a run, and the picture of this moment."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse

from liveedit_cam.control.bodies import RecordBody
from liveedit_cam.pixels import jpeg
from liveedit_cam.presets import Commands

SNAPSHOT_QUALITY = 95


def add_recording(app: FastAPI, controller: Commands) -> None:
    """Add the routes."""

    @app.post("/api/recording", status_code=202)
    def start(body: RecordBody) -> JSONResponse:
        path = None if body.path is None else Path(body.path)
        found = controller.start_recording(
            path,
            with_source=body.with_source,
            has_badge=body.badge,
            microphone=body.microphone,
        )
        return JSONResponse({"path": str(found)}, 202)

    @app.delete("/api/recording")
    def stop() -> JSONResponse:
        files = controller.stop_recording()
        seconds = controller.status().recorded_s
        return JSONResponse({"files": [str(one) for one in files], "seconds": seconds})

    @app.get("/snapshot.jpg")
    def snapshot() -> Response:
        """What the sinks show now, at its full size; 204 before the first picture."""
        frame = controller.shown()
        if frame is None:
            return Response(status_code=204)
        return Response(jpeg(frame.pixels, SNAPSHOT_QUALITY), media_type="image/jpeg")
