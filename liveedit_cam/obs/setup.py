"""What `liveedit-cam obs` does in OBS: sources, first rules, our picture, the delay of the sound.

Every function makes its requests on the link it is given and raises what they raise
(ObsRequestRefused, ObsLost). Knows no command line and no connection that comes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from liveedit_cam.errors import ControlError
from liveedit_cam.obs import lookup
from liveedit_cam.obs.rule_tables import quoted
from liveedit_cam.obs.rules import RuleBook, starter_rules
from liveedit_cam.prompt import LEAVE

if TYPE_CHECKING:
    from liveedit_cam.obs.link import ObsLink

PROMPT_BOX = "LiveEdit prompt"
"""The text source whose text is the instruction, also for the script in OBS."""
STATUS_TEXT = "LiveEdit status"
"""The text source that shows instruction and latency."""
PICTURE = "LiveEdit"
"""The media source that shows our picture."""

SCRIPT = "liveedit_cam.lua"

_TEXT_KINDS = ("text_gdiplus", "text_ft2_source")
"""Text sources of Windows and of the others, without their version."""
_TEXT_SETTINGS = {"font": {"face": "Sans Serif", "size": 48}}
"""OBS's own letters are 256 pixels high."""
_MARKER_KINDS = ("color_source",)
_MARKER_SETTINGS = {"color": 0, "width": 16, "height": 16}
"""Wholly transparent: a marker is there to be switched, not to be seen."""
_PICTURE_KINDS = ("ffmpeg_source",)
_PICTURE_PATH = "/edited.mjpeg"

_REALM, _SLOT = "OBS_WEBSOCKET_DATA_REALM_GLOBAL", "liveedit-cam sync-audio"
"""Where OBS keeps the former sync offsets: a JSON object, input name -> milliseconds."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources a user wants to have in OBS for the rules."""

    prompt_box: bool = False
    status_text: bool = False
    markers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Overview:
    """What there is to know of one OBS and the rules for it."""

    obs: str
    """Its version."""
    websocket: str
    rpc: int
    """Version of the protocol."""
    scene: str | None
    """The program scene; None where OBS cannot say now."""
    unknown: tuple[str, ...]
    """Names in the rules that OBS does not have, each with its line."""
    tells_settings: bool
    """False = the text boxes are looked at ten times a second, this OBS has no event for them."""


@dataclass(frozen=True, slots=True)
class Synced:
    """One audio input whose sync offset was set; both in milliseconds."""

    former_ms: int
    """The user's own, from before the first time."""
    offset_ms: int


def overview(link: ObsLink, book: RuleBook) -> Overview:
    """Look at OBS and compare it with the rules."""
    return Overview(
        obs=link.version.obs,
        websocket=link.version.websocket,
        rpc=link.version.rpc,
        scene=lookup.program_scene(link),
        unknown=tuple(map(str, lookup.unknown_names(link, book))),
        tells_settings=lookup.tells_settings(link),
    )


def scene_names(link: ObsLink) -> tuple[str, ...]:
    """All scenes, in the order OBS shows them."""
    scenes = link.request("GetSceneList")["scenes"]  # the lowest in OBS's list comes first
    return tuple(str(scene["sceneName"]) for scene in reversed(scenes))


def create_sources(link: ObsLink, wanted: Sources) -> tuple[tuple[str, bool], ...]:
    """Make what is wanted: names, each with False where it is there already.

    Raises ControlError where another kind of source has such a name.
    """
    made = []
    if wanted.prompt_box:  # hidden: viewers shall not read what is typed
        made.append((PROMPT_BOX, create_text(link, PROMPT_BOX, is_shown=False)))
    if wanted.status_text:
        made.append((STATUS_TEXT, create_text(link, STATUS_TEXT, is_shown=True)))
    made += [(name, create_marker(link, name)) for name in wanted.markers]
    return tuple(made)


def create_text(link: ObsLink, name: str, *, is_shown: bool) -> bool:
    """Make a text source in the program scene; False where it is there already.

    Raises ControlError where another kind of source has that name.
    """
    return _create(link, name, _TEXT_KINDS, _TEXT_SETTINGS, is_shown=is_shown)


def create_marker(link: ObsLink, name: str) -> bool:
    """Make a source in the program scene that shows nothing and begins hidden; False = is there.

    Raises ControlError where another kind of source has that name.
    """
    return _create(link, name, _MARKER_KINDS, _MARKER_SETTINGS, is_shown=False)


def add_picture(link: ObsLink, name: str, preview_url: str) -> bool:
    """Show our picture in the program scene as a media source, as large as the canvas.

    ``preview_url`` is the status's. A source of that name only gets the new address: False. Raises
    ControlError where another kind of source has it.
    """
    settings = picture_settings(preview_url)
    if not _create(link, name, _PICTURE_KINDS, settings, is_shown=True):
        link.request("SetInputSettings", {"inputName": name, "inputSettings": settings})
        return False
    _fill_canvas(link, name)
    return True


def renew_pictures(link: ObsLink, preview_url: str) -> tuple[str, ...]:
    """Give every media source that played a preview of this machine the address of this run.

    With it goes a key that is new in each run. Returns the names of those renewed.
    """
    wanted = picture_settings(preview_url)
    renewed = []
    for name, kind in _inputs(link).items():
        if kind not in _PICTURE_KINDS:
            continue
        found = link.request("GetInputSettings", {"inputName": name})["inputSettings"]
        address = urlsplit(str(found.get("input", "")))
        is_ours = address.hostname == "127.0.0.1" and address.path == _PICTURE_PATH
        given = (found.get("input"), found.get("ffmpeg_options"))
        if is_ours and given != (wanted["input"], wanted["ffmpeg_options"]):
            link.request("SetInputSettings", {"inputName": name, "inputSettings": wanted})
            renewed.append(name)
    return tuple(renewed)


def picture_settings(preview_url: str) -> dict[str, Any]:
    """Settings of a media source that plays the edited picture of a preview page.

    The key goes into a header, as everywhere: it stands in no address.
    """
    page = urlsplit(preview_url)
    address = page._replace(path=_PICTURE_PATH, fragment="").geturl()
    (key,) = parse_qs(page.fragment)["key"]
    return {
        "is_local_file": False,
        "input": address,
        "input_format": "mpjpeg",
        "buffering_mb": 0,
        "reconnect_delay_sec": 1,
        "hw_decode": False,
        "close_when_inactive": False,
        "restart_on_activate": False,
        "clear_on_media_end": False,
        # Motion JPEG has no times; without this OBS plays it at 25 pictures per second, and a
        # faster stream falls behind without limit.
        "ffmpeg_options": f"use_wallclock_as_timestamps=1 headers='Authorization: Bearer {key}'",
    }


def sync_audio(link: ObsLink, input_name: str, delay_ms: float) -> Synced:
    """Delay an audio input as our picture is delayed, on top of the user's own offset.

    That offset stays in OBS's persistent data, so that doing this again does not add up and
    ``undo_sync`` can bring it back. ``delay_ms`` in milliseconds.
    """
    kept = _kept_offsets(link)
    present = link.request("GetInputAudioSyncOffset", {"inputName": input_name})
    former_ms = kept.setdefault(input_name, int(present["inputAudioSyncOffset"]))
    _keep_offsets(link, kept)  # first, so that the former one is never lost
    synced = Synced(former_ms, former_ms + round(delay_ms))
    _set_offset(link, input_name, synced.offset_ms)
    return synced


def undo_sync(link: ObsLink, input_name: str) -> int:
    """Bring back the user's own sync offset, in milliseconds. Raises ControlError: none is kept."""
    kept = _kept_offsets(link)
    if input_name not in kept:
        others = f"Kept: {', '.join(kept)}." if kept else "No input was changed."
        raise ControlError(f"No former offset of {input_name!r} is kept in OBS.", hint=others)
    former_ms = kept.pop(input_name)
    _set_offset(link, input_name, former_ms)
    _keep_offsets(link, kept)
    return former_ms


def first_rules(link: ObsLink, sources: Sources) -> str:
    """Text of a first rule file for this OBS: rules for ``sources``, examples for its scenes."""
    box = PROMPT_BOX if sources.prompt_box or PROMPT_BOX in _inputs(link) else None
    text = starter_rules(scene_names(link), prompt_box=box)
    if sources.status_text:
        text = text.replace("# status_text =", "status_text =", 1)
    return "\n".join([text, *map(marker_rules, sources.markers)])


def missing_rules(book: RuleBook, sources: Sources) -> str:
    """What rules that are there lack for ``sources``, to be added by hand; "" = nothing."""
    mentioned = {text for rule in book.rules for text in rule.when.values()}
    parts = []
    if sources.status_text and book.status_text != STATUS_TEXT:
        parts.append(f"status_text = {quoted(STATUS_TEXT)}  # above the first [[rule]]\n")
    if sources.prompt_box and PROMPT_BOX not in mentioned:
        parts.append(f"[[rule]]\nwhen = {{ text = {quoted(PROMPT_BOX)} }}\n")
    parts += [marker_rules(name) for name in sources.markers if name not in mentioned]
    return "\n".join(parts)


def marker_rules(name: str) -> str:
    """Two rules for a marker source: shown is an edit, hidden is none."""
    source = quoted(name)
    return (
        f'[[rule]]\nwhen = {{ source = {source}, is = "shown" }}\nedit = "make it night"\n\n'
        f'[[rule]]\nwhen = {{ source = {source}, is = "hidden" }}\nedit = {quoted(LEAVE)}\n'
    )


def script_path() -> Path | None:
    """The script for OBS's hotkeys: in the installed package, else in the checkout, else None."""
    package = Path(__file__).resolve().parents[1]
    places = (package / "_plugins" / "obs", package.parent / "plugins" / "obs")
    return next((p / SCRIPT for p in places if (p / SCRIPT).is_file()), None)


def write_rules(path: Path, text: str) -> bool:
    """Write a first rule file; False where there is one, which stays. Raises ControlError."""
    try:
        if path.exists():
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ControlError(
            f"The rules {path} cannot be written: {error.strerror}.",
            hint="Name a file you may write as obs_rules.",
        ) from error
    return True


def _create(
    link: ObsLink,
    name: str,
    kinds: tuple[str, ...],
    settings: Mapping[str, Any],
    *,
    is_shown: bool,
) -> bool:
    """Make an input of the first of ``kinds`` that OBS has; False where it is there already."""
    present = _inputs(link).get(name)
    if present is not None:
        _check_kind(name, present, kinds)
        return False
    wanted = {
        "sceneName": link.request("GetCurrentProgramScene")["currentProgramSceneName"],
        "inputName": name,
        "inputKind": _newest(link, kinds),
        "inputSettings": settings,
        "sceneItemEnabled": is_shown,
    }
    link.request("CreateInput", wanted)
    return True


def _inputs(link: ObsLink) -> Mapping[str, str]:
    """All inputs by name, each with its kind, without the version."""
    found = link.request("GetInputList")["inputs"]
    return {str(one["inputName"]): str(one["unversionedInputKind"]) for one in found}


def _check_kind(name: str, kind: str, kinds: tuple[str, ...]) -> None:
    if kind not in kinds:
        raise ControlError(
            f"The source {name!r} is there already and is a {kind}, expected {' or '.join(kinds)}.",
            hint="Rename it in OBS, or name another one.",
        )


def _newest(link: ObsLink, kinds: tuple[str, ...]) -> str:
    """The newest version of the first kind there is. Raises ControlError."""
    known = link.request("GetInputKindList")["inputKinds"]
    for kind in kinds:
        versions = [one for one in known if one == kind or one.startswith(f"{kind}_v")]
        if versions:
            return str(max(versions))
    raise ControlError(
        f"This OBS has no {' and no '.join(kinds)}, expected one of its own plugins.",
        hint="Install OBS with its plugins (Debian: apt install obs-plugins).",
    )


def _fill_canvas(link: ObsLink, name: str) -> None:
    scene = link.request("GetCurrentProgramScene")["currentProgramSceneName"]
    item = link.request("GetSceneItemId", {"sceneName": scene, "sourceName": name})
    canvas = link.request("GetVideoSettings")
    transform = {
        "boundsType": "OBS_BOUNDS_SCALE_INNER",
        "boundsWidth": canvas["baseWidth"],
        "boundsHeight": canvas["baseHeight"],
    }
    wanted = {"sceneName": scene, "sceneItemTransform": transform}
    link.request("SetSceneItemTransform", {**wanted, "sceneItemId": item["sceneItemId"]})


def _kept_offsets(link: ObsLink) -> dict[str, int]:
    found = link.request("GetPersistentData", {"realm": _REALM, "slotName": _SLOT})
    return {str(name): int(value) for name, value in (found.get("slotValue") or {}).items()}


def _keep_offsets(link: ObsLink, kept: dict[str, int]) -> None:
    link.request("SetPersistentData", {"realm": _REALM, "slotName": _SLOT, "slotValue": kept})


def _set_offset(link: ObsLink, input_name: str, offset_ms: int) -> None:
    wanted = {"inputName": input_name, "inputAudioSyncOffset": offset_ms}
    link.request("SetInputAudioSyncOffset", wanted)
