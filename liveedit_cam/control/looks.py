"""Routes of the presets, and what the model understands of an instruction while it is typed."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from liveedit_cam.control.bodies import ApplyBody, CheckBody, PresetBody
from liveedit_cam.errors import ConfigError, InstructionError, UsageError
from liveedit_cam.presets import Commands, Preset, checked

CHECK_S = 0.4
"""Longest wait for what the editor says of a text; it may be loading."""
LOOK_EVERY_S = 0.05


def add_looks(app: FastAPI, controller: Commands) -> None:
    """Add the routes."""

    @app.get("/api/presets")
    def presets() -> JSONResponse:
        shelf = controller.presets.shelf()
        found = [asdict(preset) for preset in shelf.presets]
        path = str(controller.presets.path)
        return JSONResponse({"presets": found, "problems": shelf.problems, "file": path})

    @app.post("/api/preset", status_code=202)
    def apply_preset(body: ApplyBody, request: Request) -> JSONResponse:
        origin = "web" if "origin" in request.headers else "preset"
        try:
            applied = controller.apply_preset(body.name, origin)
        except UsageError as error:
            return _refused("name", error)
        return JSONResponse({"name": applied.name, "revision": applied.revision}, 202)

    @app.put("/api/presets")
    def add_preset(body: PresetBody) -> JSONResponse:
        values = {name: value for name, value in body.preset.items() if value is not None}
        try:
            preset: Preset = checked(values)
        except ConfigError as error:
            return _refused("preset", error)
        controller.presets.add(preset)
        return JSONResponse({"name": preset.name})

    @app.delete("/api/presets/{name}")
    def remove_preset(name: str) -> JSONResponse:
        try:
            removed = controller.presets.remove(name)
        except ConfigError:
            raise
        except UsageError as error:
            return _refused("name", error)
        return JSONResponse({"name": removed.name})

    @app.post("/api/check")
    async def check(body: CheckBody) -> JSONResponse:
        """What is not understood of a text; nothing is edited by it."""
        if not body.prompt.strip():
            return JSONResponse({"unknown": [], "refused": None, "is_known": True})
        unknown = None
        try:
            for _ in range(round(CHECK_S / LOOK_EVERY_S)):
                unknown = controller.unknown_words(body.prompt)
                if unknown is not None:
                    break
                await asyncio.sleep(LOOK_EVERY_S)
        except InstructionError as error:
            return JSONResponse({"unknown": [], "refused": str(error), "is_known": True})
        found = {"unknown": unknown or (), "refused": None, "is_known": unknown is not None}
        return JSONResponse(found)


def _refused(field: str, error: UsageError) -> JSONResponse:
    return JSONResponse({"field": field, "reason": str(error)}, 422)
