"""Routes of what can be exchanged while the run goes on: source, output, model, steps."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from liveedit_cam.control.bodies import ChoiceBody
from liveedit_cam.control.wire import answer_of
from liveedit_cam.errors import UsageError
from liveedit_cam.presets import Commands


def add_choices(app: FastAPI, controller: Commands) -> None:
    """Add the routes."""

    @app.get("/api/choices")
    def choices() -> JSONResponse:
        """What this computer has; devices are looked for, which takes a moment."""
        found = controller.choices()
        return JSONResponse(
            {
                what.value: [{"value": value, "text": text} for value, text in several]
                for what, several in found.items()
            }
        )

    @app.post("/api/choice")
    def choose(body: ChoiceBody) -> JSONResponse:
        try:
            name = controller.choose(body.what, body.value, is_trial=body.is_trial)
        except UsageError as error:
            return JSONResponse({"field": "value", "reason": str(error)}, 422)
        return JSONResponse(answer_of(controller.status(), name=name, is_trial=body.is_trial))
