"""A bridge between an OBS that is a few fields and a Controller that remembers what it was told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from liveedit_cam.errors import UsageError
from liveedit_cam.obs.bridge import Bridge
from liveedit_cam.obs.errors import ObsLost, ObsRequestRefused
from liveedit_cam.obs.link import ObsVersion
from liveedit_cam.prompt import checked_prompt
from liveedit_cam.types import EditInstruction, Latency, Mode, Region, Status


@dataclass
class FakeLink:
    """What the bridge asks of OBS, answered from the fields; a request for anything else fails."""

    websocket: str = "5.5.0"
    program: str = "Start"
    lagging: list[str] = field(default_factory=list)
    """Program scenes named first: for a moment OBS names the old one, or that of the preview."""
    scenes: list[str] = field(default_factory=lambda: ["Start", "Night", "Day"])
    inputs: dict[str, dict[str, Any]] = field(default_factory=lambda: {"Box": {}})
    """Name -> settings."""
    items: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    groups: list[str] = field(default_factory=list)
    filters: dict[str, list[str]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    """Input -> its kind; the others are text sources."""
    refused: str | None = None
    """Name of a request that is refused."""
    is_lost: bool = False
    requests: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    @property
    def version(self) -> ObsVersion:
        return ObsVersion("30.0.0", self.websocket, 1)

    def asked(self, name: str) -> int:
        return sum(one == name for one, _ in self.requests)

    def request(self, name: str, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
        self.requests.append((name, data or {}))
        if self.is_lost:
            raise ObsLost("The connection is lost.")
        if name == self.refused:
            raise ObsRequestRefused(f"OBS refused {name}.", code=207, comment=None)
        return self._answer(name, data or {})

    def _answer(self, name: str, data: Mapping[str, Any]) -> dict[str, Any]:
        try:
            match name:
                case "GetCurrentProgramScene":
                    scene = self.lagging.pop(0) if self.lagging else self.program
                    return {"currentProgramSceneName": scene}
                case "GetSceneList":
                    return {"scenes": [{"sceneName": scene} for scene in self.scenes]}
                case "GetInputList":
                    return {"inputs": [self._input(name) for name in self.inputs]}
                case "GetGroupList":
                    return {"groups": self.groups}
                case "GetSourceFilterList":
                    filters = self.filters[data["sourceName"]]
                    return {"filters": [{"filterName": one} for one in filters]}
                case "GetInputSettings":
                    return {"inputSettings": dict(self.inputs[data["inputName"]])}
                case "SetInputSettings":
                    self.inputs[data["inputName"]].update(data["inputSettings"])
                    return {}
                case "GetSceneItemList" if data["sceneName"] not in self.groups:
                    return {"sceneItems": self.items[data["sceneName"]]}
                case "GetGroupSceneItemList" if data["sceneName"] in self.groups:
                    return {"sceneItems": self.items[data["sceneName"]]}
        except KeyError as error:
            raise ObsRequestRefused(f"no {error}", code=600, comment=None) from error
        raise ObsRequestRefused(f"{name} is not for that", code=602, comment=None)

    def _input(self, name: str) -> dict[str, str]:
        kind = self.kinds.get(name, "text_ft2_source")
        return {"inputName": name, "unversionedInputKind": kind}


@dataclass
class FakeCommands:
    """Checks a prompt as the Controller does; ``told`` is all it was told, in order."""

    told: list[Any] = field(default_factory=list)
    found: Status = field(
        default_factory=lambda: Status(
            instruction="golden light", glass_to_sink=Latency(182.0, 260.0)
        )
    )
    places: list[tuple[Region | None, int]] = field(default_factory=list)
    """Region and seed of each instruction."""

    def instruct(
        self, prompt: str, *, strength: float, region: Region | None, seed: int, origin: str
    ) -> EditInstruction:
        if prompt == "break":
            raise RuntimeError("a defect in the daemon")
        prompt = checked_prompt(prompt)
        self.told.append((prompt, strength, origin))
        self.places.append((region, seed))
        self.found = replace(self.found, instruction=prompt)
        return EditInstruction(prompt, strength, region, seed, origin)

    def set_mode(self, mode: Mode) -> None:
        self.told.append(mode)
        self.found = replace(self.found, mode=mode)

    def apply_preset(self, name: str, origin: str) -> object:
        if name != "night":
            raise UsageError(f"no preset is called {name!r}.", hint="Near: 'night'.")
        self.told.append(f"preset {name} {origin}")
        return None

    def prepare(self, prompt: str) -> None:
        self.told.append(f"prepare {prompt}")

    def status(self) -> Status:
        return self.found

    def take(self) -> list[Any]:
        """What it was told since the last time."""
        told, self.told = self.told, []
        return told


class Stage:
    """A bridge with a fake on each side."""

    def __init__(self, path: Path, rules: str, **link: Any) -> None:
        self.path = path
        path.write_text(rules)
        self.link = FakeLink(**link)
        self.commands = FakeCommands()
        self.now = 100.0
        self.bridge = Bridge(path, self.commands, now=lambda: self.now)
        self.bridge.connected(self.link)

    def emit(self, name: str, **data: Any) -> list[Any]:
        self.bridge.event(self.link, name, data)
        return self.commands.take()

    def tick(self, seconds: float = 0.1) -> list[Any]:
        self.now += seconds
        self.bridge.tick(self.link)
        return self.commands.take()

    def settle(self) -> list[Any]:
        """Let so much time pass that a scene without a transition is believed."""
        return [told for _ in range(3) for told in self.tick()]

    def switch(self, scene: str) -> list[Any]:
        self.link.program = scene
        return self.emit("SceneTransitionStarted", transitionName="Fade")

    def type(self, **settings: str) -> list[Any]:
        """Change settings of the text source "Box"."""
        self.link.inputs["Box"].update(settings)
        return self.emit(
            "InputSettingsChanged", inputName="Box", inputSettings=dict(self.link.inputs["Box"])
        )
