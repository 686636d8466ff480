"""From the events of OBS to the Controller, by the user's rules. Knows no socket and no engine.

An ObsHandler: all but ``notice`` is called from the connection's thread. The event path waits for
nothing but the look-ups of ``lookup``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from liveedit_cam.errors import LiveEditError, kept
from liveedit_cam.obs import lookup
from liveedit_cam.obs.pictures import Pictures
from liveedit_cam.obs.program import ProgramScene
from liveedit_cam.obs.prompt_box import COMMAND, PromptBoxes, mode_of
from liveedit_cam.obs.rules import RuleFile, when_of
from liveedit_cam.obs.status_text import StatusText
from liveedit_cam.presets import Commands, change_strength
from liveedit_cam.protocols import Action, Rule
from liveedit_cam.types import Mode

if TYPE_CHECKING:
    from liveedit_cam.obs.link import ObsLink

_SETTINGS = "InputSettingsChanged"
_TRANSITION = "SceneTransitionStarted"
_NAME_EVENTS = frozenset(
    f"{thing}{change}"
    for thing in ("Scene", "Input", "SourceFilter")
    for change in ("Created", "Removed", "NameChanged")
)
"""After these a name in the rules may have come or gone."""

_log = logging.getLogger(__name__)


class _Topic(StrEnum):
    """What a notice is about; each topic has at most one."""

    FILE = "file"
    RULE = "rule"
    NAMES = "names"
    BOXES = "boxes"
    PICTURE = "picture"


class Bridge:
    """Acts on the events of one OBS after another."""

    def __init__(
        self, path: Path, commands: Commands, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        """``path`` of the rule file, which need not exist; ``now`` in seconds, monotonic."""
        self._file = RuleFile(path)
        self._commands = commands
        self._now = now
        self._boxes = PromptBoxes()
        self._status_text = StatusText()
        self._program = ProgramScene(now)
        self._poll_at = 0.0
        self._are_names_due = False
        self._pictures = Pictures()
        self._logged: dict[_Topic, frozenset[str]] = {}
        self._notices: dict[_Topic, str] = {}
        self._notice: str | None = None

    @property
    def notice(self) -> str | None:
        """What the user should know of rules and OBS; None = nothing. Any thread."""
        return self._notice

    def connected(self, link: ObsLink) -> None:
        """Read the rules and note what stands in the boxes; the first ticks act on the scene."""
        self._read_rules()
        self._begin(link)

    def event(self, link: ObsLink, name: str, data: dict[str, Any]) -> None:
        """Act on one event of OBS."""
        if name == _TRANSITION:
            self._scene_is(self._program.transition_started(link))
            return
        if name == _SETTINGS:
            self._settings_changed(data)
            return
        if name == "SceneItemEnableStateChanged" and any(self._file.book.of_event(name)):
            data = lookup.with_source(link, data)
        self._dispatch(name, data)
        if name == "CurrentProgramSceneChanged":
            self._program.changed(link)
        elif name == "CurrentPreviewSceneChanged":
            self._prepare(data)
        elif name == "CurrentSceneCollectionChanged":
            self._begin(link)
        elif name == "InputCreated":
            self._note_box(str(data.get("inputName")), data.get("inputSettings"))
        elif name == "SceneNameChanged":
            self._program.renamed(data.get("oldSceneName"), str(data.get("sceneName")))
        self._are_names_due |= name in _NAME_EVENTS

    def tick(self, link: ObsLink) -> None:
        """Do what time brings: changed rules, rested texts, boxes to look at, the status text."""
        if self._read_rules():
            self._note_boxes(link)
            self._are_names_due = True
        self._scene_is(self._program.tick(link))
        self._poll_boxes(link)
        for typed in self._boxes.take_due(self._now()):
            with self._guard(typed.rule):
                self._do(typed.rule, typed.action)
        if self._are_names_due:
            self._are_names_due = False
            self._check_names(link)
        self._show_status(link)
        self._keep_pictures(link)

    def lost(self) -> None:
        """Forget what was known of OBS; the rules stay."""
        self._program.forget()
        self._boxes.forget()
        self._status_text.forget()
        self._pictures.forget()
        for topic in (_Topic.NAMES, _Topic.PICTURE):
            self._say(topic, None)

    def _begin(self, link: ObsLink) -> None:
        self._boxes.forget()
        self._note_boxes(link)
        self._status_text.forget()
        self._are_names_due = True
        self._program.begin(link)

    def _read_rules(self) -> bool:
        if not self._file.reload():
            return False
        self._say(_Topic.FILE, self._file.problem)
        self._say(_Topic.RULE, None)  # it was about the rules from before
        if self._file.problem is None:
            _log.info("%s rules for OBS.", len(self._file.book.rules))
        else:
            _log.warning("%s", self._file.problem)
        return True

    def _scene_is(self, scene: str | None) -> None:
        """Act on a scene that has become the program; None = none has."""
        if scene is not None:
            self._dispatch(_TRANSITION, {"sceneName": scene})

    def _dispatch(self, event: str, data: Mapping[str, Any]) -> None:
        """Hand an event to the rules that want it, in the order of the file."""
        for trigger, rule in self._file.book.of_event(event):
            with self._guard(rule):
                action = trigger.handle(data, rule)
                if action is not None and trigger.brings_prompt:
                    self._boxes.typed(rule, action, self._now())
                elif action is not None:
                    self._do(rule, action)

    def _prepare(self, data: Mapping[str, Any]) -> None:
        """Have the instruction of the scene in the preview encoded ahead."""
        for trigger, rule in self._file.book.of_event(_TRANSITION):
            with self._guard(rule):
                action = trigger.handle(data, rule)
                if action is not None and action.prompt is not None:
                    self._commands.prepare(action.prompt)

    def _do(self, rule: Rule, action: Action) -> None:
        """Ask the Controller; the mode first, it may hide the camera. Raises UsageError."""
        if action.preset is not None:
            self._commands.apply_preset(action.preset, f"obs:{rule.kind}")
        if action.mode is not None:
            self._commands.set_mode(action.mode)
        origin, strength = f"obs:{rule.kind}", action.strength
        if action.prompt is not None:
            self._commands.instruct(
                action.prompt,
                strength=1.0 if strength is None else strength,
                region=None,
                seed=0,
                origin=origin,
            )
        elif strength is not None:
            change_strength(self._commands, strength, origin)
        self._say(_Topic.RULE, None)

    @contextmanager
    def _guard(self, rule: Rule) -> Iterator[None]:
        """Let no rule stop another: what goes wrong in one becomes the notice."""
        with kept(lambda error: self._failed(rule, error)):
            yield

    def _failed(self, rule: Rule, error: Exception) -> None:
        if isinstance(error, LiveEditError):
            self._say(_Topic.RULE, f"{when_of(rule)}: {error}")
        else:  # a plugin's trigger may raise anything
            self._say(_Topic.RULE, f"{when_of(rule)}: failed, {type(error).__name__}: {error}.")
            _log.warning("The rule %s failed.", when_of(rule), exc_info=error)

    def _settings_changed(self, data: Mapping[str, Any]) -> None:
        """Act on the text and on the command of an input."""
        self._dispatch(_SETTINGS, data)
        name, settings = str(data.get("inputName")), data.get("inputSettings")
        if name in self._file.book.inputs_of_event(_SETTINGS) and isinstance(settings, Mapping):
            command = settings.get(COMMAND)
            if self._boxes.saw_command(name, command):
                self._obey(name, command)

    def _obey(self, name: str, command: object) -> None:
        """Do what the script in OBS asks for; the text of its box counts at once."""
        was_editing = self._commands.status().mode is Mode.EDIT
        for _, rule in self._file.book.of_event(_SETTINGS):
            if name not in rule.when.values():
                continue
            with self._guard(rule):
                mode = mode_of(command)
                action = self._boxes.take(rule)
                if action is None and mode is Mode.EDIT and was_editing:
                    action = self._boxes.said(rule)  # the same instruction, asked for once more
                self._do(rule, replace(action or Action(), mode=mode))

    def _note_boxes(self, link: ObsLink) -> None:
        """Note what stands in the boxes not known yet, without acting on it."""
        names = self._file.book.inputs_of_event(_SETTINGS)
        for name in names:
            if not self._boxes.knows(name):
                self._note_box(name, lookup.input_settings(link, name))
        if names and not lookup.tells_settings(link):
            message = (
                f"This OBS has obs-websocket {link.version.websocket}, which does not tell when a "
                f"text changes: it is asked for the text of {', '.join(names)} all the time."
            )
            self._log_new(_Topic.BOXES, [message])

    def _note_box(self, name: str, settings: object) -> None:
        if name not in self._file.book.inputs_of_event(_SETTINGS):
            return
        if not isinstance(settings, Mapping):
            return  # not there yet
        data = {"inputName": name, "inputSettings": settings}
        for trigger, rule in self._file.book.of_event(_SETTINGS):
            with self._guard(rule):
                action = trigger.handle(data, rule)
                if action is not None:
                    self._boxes.stands(rule, action)
        self._boxes.saw_command(name, settings.get(COMMAND))

    def _poll_boxes(self, link: ObsLink) -> None:
        """Make the event InputSettingsChanged ourselves where this OBS does not have it."""
        began = self._now()
        if lookup.tells_settings(link) or began < self._poll_at:
            return
        for name in self._file.book.inputs_of_event(_SETTINGS):
            settings = lookup.input_settings(link, name)
            if settings is not None and self._boxes.knows(name):
                self._settings_changed({"inputName": name, "inputSettings": settings})
            else:
                self._note_box(name, settings)
        ended = self._now()
        self._poll_at = ended + (ended - began)  # half the time at most, should a text be huge

    def _check_names(self, link: ObsLink) -> None:
        """Tell the user which names in the rules OBS does not have; the rules stay."""
        unknown = lookup.unknown_names(link, self._file.book)
        self._log_new(
            _Topic.NAMES,
            [f"A rule names the {one}, which OBS does not have (yet)." for one in unknown],
        )
        names = ", ".join(map(str, unknown))
        self._say(_Topic.NAMES, f"OBS does not have: {names}." if unknown else None)

    def _show_status(self, link: ObsLink) -> None:
        name, now = self._file.book.status_text, self._now()
        if name is not None and self._status_text.is_due(now):
            self._status_text.show(link, name, self._commands.status(), now)

    def _keep_pictures(self, link: ObsLink) -> None:
        url = self._commands.status().preview_url
        if url is not None:
            self._pictures.keep(link, url, self._now())
            self._say(_Topic.PICTURE, self._pictures.problem)

    def _log_new(self, topic: _Topic, messages: Collection[str]) -> None:
        """Log what was not said the last time this topic was looked at."""
        said = self._logged.get(topic, frozenset())
        for message in messages:
            if message not in said:
                _log.warning("%s", message)
        self._logged[topic] = frozenset(messages)

    def _say(self, topic: _Topic, notice: str | None) -> None:
        if notice is None:
            self._notices.pop(topic, None)
        else:
            self._notices[topic] = notice
        self._notice = " ".join(self._notices.values()) or None
