"""A small OBS behind the fake server, a running camera's status, and a shell for the commands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fake_obs import FakeObs, Refusal, Reply
from typer.testing import CliRunner

from liveedit_cam.commands.obs import obs as app
from liveedit_cam.errors import LiveEditError
from liveedit_cam.types import Latency, Status

KINDS = ["color_source_v3", "ffmpeg_source", "text_ft2_source", "text_ft2_source_v2"]
PREVIEW = "http://127.0.0.1:8642/#key=k"


class Desk:
    """The scenes, inputs and offsets of an OBS, behind a fake server's answers."""

    def __init__(self, obs: FakeObs) -> None:
        self.kinds = KINDS
        self.inputs: dict[str, dict[str, Any]] = {}
        self.offsets = {"Mic": -40}
        self.slots: dict[str, Any] = {}
        self.transforms: list[dict[str, Any]] = []
        obs.answers |= {
            "GetInputList": self._list_inputs,
            "GetInputKindList": lambda data: {"inputKinds": self.kinds},
            "GetSceneList": {"scenes": [{"sceneName": "Night"}, {"sceneName": "Scene"}]},
            "GetCurrentProgramScene": {"currentProgramSceneName": "Scene"},
            "GetGroupList": {"groups": []},
            "CreateInput": self._create,
            "SetInputSettings": self._set,
            "GetSceneItemId": {"sceneItemId": 5},
            "GetVideoSettings": {"baseWidth": 1920, "baseHeight": 1080},
            "SetSceneItemTransform": self._transform,
            "GetInputAudioSyncOffset": self._offset,
            "SetInputAudioSyncOffset": self._set_offset,
            "GetPersistentData": lambda data: {"slotValue": self.slots.get(data["slotName"])},
            "SetPersistentData": self._keep,
        }

    def _list_inputs(self, data: dict[str, Any]) -> Reply:
        found = [
            {"inputName": name, "unversionedInputKind": made["inputKind"].partition("_v")[0]}
            for name, made in self.inputs.items()
        ]
        return {"inputs": found}

    def _create(self, data: dict[str, Any]) -> Reply:
        self.inputs[data["inputName"]] = data
        return {"sceneItemId": 5}

    def _set(self, data: dict[str, Any]) -> Reply:
        self.inputs[data["inputName"]]["inputSettings"] |= data["inputSettings"]
        return {}

    def _transform(self, data: dict[str, Any]) -> Reply:
        self.transforms.append(data)
        return {}

    def _offset(self, data: dict[str, Any]) -> Reply:
        if data["inputName"] not in self.offsets:
            return Refusal(600, "No source was found.")
        return {"inputAudioSyncOffset": self.offsets[data["inputName"]]}

    def _set_offset(self, data: dict[str, Any]) -> Reply:
        self.offsets[data["inputName"]] = data["inputAudioSyncOffset"]
        return {}

    def _keep(self, data: dict[str, Any]) -> Reply:
        self.slots[data["slotName"]] = data["slotValue"]
        return {}


class Camera:
    """A running liveedit-cam of which only the status is asked for."""

    def __init__(self) -> None:
        self.found = Status(preview_url=PREVIEW, glass_to_sink=Latency(350.4, 420.0))

    def status(self) -> Status:
        return self.found


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    out: str
    err: str
    error: LiveEditError | None


class Shell:
    """Runs the commands with an environment of its own."""

    def __init__(self, folder: Path, obs: FakeObs) -> None:
        self.rules = folder / "rules" / "obs.toml"
        self.environ = {
            "HOME": str(folder),
            "LIVEEDIT_CAM_OBS_PORT": str(obs.port),
            "LIVEEDIT_CAM_OBS_PASSWORD": obs.password,
            "LIVEEDIT_CAM_OBS_RULES": str(self.rules),
            "LIVEEDIT_CAM_RUNTIME_DIR": str(folder / "run"),
        }

    def run(self, *arguments: str) -> Ran:
        """One command; an error that is not for users fails the test."""
        found = CliRunner().invoke(app, arguments, env=self.environ)
        if found.exception is not None and not isinstance(found.exception, LiveEditError):
            raise AssertionError(found.output) from found.exception
        return Ran(found.stdout, found.stderr, found.exception)

    def fails(self, *arguments: str) -> LiveEditError:
        """The error one command ends with."""
        error = self.run(*arguments).error
        assert error is not None, "the command went well"
        return error

    def write(self, text: str) -> None:
        """Put rules into the file."""
        self.rules.parent.mkdir(parents=True, exist_ok=True)
        self.rules.write_text(text, "utf-8")
