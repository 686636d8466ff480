"""What `liveedit-cam obs` does, done to the real OBS; the script, its keys and its clean end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from real_obs import SLATE_KEYS, RealObs, decode, wait_until
from recorder import PATIENCE_S, open_link, running_rig

from liveedit_cam.errors import ControlError
from liveedit_cam.obs import setup
from liveedit_cam.obs.errors import ObsRequestRefused
from liveedit_cam.obs.link import ObsLink
from liveedit_cam.obs.rules import load_rules

FIRST_DRAWING_S = 2.0
"""OBS 29 crashes, also without any script, when it is ended while its window is first drawn."""


@pytest.fixture
def fresh(link: ObsLink) -> ObsLink:
    """The link, with an empty scene of its own in the program."""
    scene = "Setup"
    names = [one["sceneName"] for one in link.request("GetSceneList")["scenes"]]
    if scene not in names:
        link.request("CreateScene", {"sceneName": scene})
    link.request("SetCurrentSceneTransition", {"transitionName": "Cut"})
    link.request("SetCurrentProgramScene", {"sceneName": scene})
    link.request("SetCurrentSceneTransition", {"transitionName": "Fade"})
    return link


def is_shown(link: ObsLink, name: str) -> bool:
    scene = link.request("GetCurrentProgramScene")["currentProgramSceneName"]
    found = link.request("GetSceneItemId", {"sceneName": scene, "sourceName": name})
    item = {"sceneName": scene, "sceneItemId": found["sceneItemId"]}
    return bool(link.request("GetSceneItemEnabled", item)["sceneItemEnabled"])


def test_a_text_source_is_made_once(fresh: ObsLink) -> None:
    """Catches a kind this OBS has not, a prompt viewers can read, and a second source."""
    assert setup.create_text(fresh, "box", is_shown=False)
    assert not is_shown(fresh, "box")
    assert not setup.create_text(fresh, "box", is_shown=False)
    assert setup.create_text(fresh, "status", is_shown=True)
    assert is_shown(fresh, "status")


def test_a_marker_shows_nothing(fresh: ObsLink) -> None:
    """Catches a coloured square on the stream."""
    assert setup.create_marker(fresh, "marker")
    assert not is_shown(fresh, "marker")
    wanted = {"sourceName": "marker", "imageFormat": "png"}
    found = fresh.request("GetSourceScreenshot", wanted)
    assert decode(str(found["imageData"])).max() == 0
    with pytest.raises(ControlError, match="is a color_source, expected text_gdiplus or"):
        setup.create_text(fresh, "marker", is_shown=True)


def test_a_name_of_a_scene_is_refused(fresh: ObsLink) -> None:
    """Catches a refusal of OBS that is taken for success."""
    with pytest.raises(ObsRequestRefused, match="CreateInput"):
        setup.create_text(fresh, "Day", is_shown=False)


def test_scenes_are_in_the_order_of_obs(fresh: ObsLink) -> None:
    """Catches the protocol's order, which is upside down."""
    assert setup.scene_names(fresh)[:4] == ("Scene", "Day", "Night", "Dawn")


def test_first_rules_name_what_is_there(fresh: ObsLink, tmp_path: Path) -> None:
    """Catches first rules that their own reader refuses, or whose names OBS does not know."""
    wanted = setup.Sources(prompt_box=True, status_text=True, markers=("night", "day"))
    names = [name for name, _ in setup.create_sources(fresh, wanted)]
    assert names == ["LiveEdit prompt", "LiveEdit status", "night", "day"]
    path = tmp_path / "obs.toml"
    assert setup.write_rules(path, setup.first_rules(fresh, wanted))
    found = setup.overview(fresh, load_rules(path))
    assert (found.scene, found.unknown, found.rpc) == ("Setup", (), 1)
    assert len(load_rules(path).rules) == 5
    assert setup.missing_rules(load_rules(path), wanted) == ""
    path.write_text(setup.marker_rules("nowhere"), "utf-8")
    assert setup.overview(fresh, load_rules(path)).unknown == ('source "nowhere" (line 1)',)


def test_the_sound_is_delayed_and_the_user_s_offset_comes_back(fresh: ObsLink) -> None:
    """Catches an offset that adds up when it is done twice, and an undo that forgets."""
    mic = {"inputName": "voice"}
    scene = {"sceneName": "Setup", "inputKind": "ffmpeg_source"}
    fresh.request("CreateInput", {**mic, **scene})
    fresh.request("SetInputAudioSyncOffset", {**mic, "inputAudioSyncOffset": -40})

    def offset() -> object:
        return fresh.request("GetInputAudioSyncOffset", mic)["inputAudioSyncOffset"]

    assert setup.sync_audio(fresh, "voice", 350.4) == setup.Synced(-40, 310)
    assert setup.sync_audio(fresh, "voice", 500.0) == setup.Synced(-40, 460)
    assert offset() == 460
    assert setup.undo_sync(fresh, "voice") == -40
    assert offset() == -40
    with pytest.raises(ControlError, match="No former offset of 'voice'"):
        setup.undo_sync(fresh, "voice")
    with pytest.raises(ObsRequestRefused):
        setup.sync_audio(fresh, "nobody", 350.0)


def test_the_status_text_is_written(real_obs: RealObs, fresh: ObsLink, tmp_path: Path) -> None:
    """Catches a status text source that stays empty; the recorder says 180 ms."""
    setup.create_text(fresh, "status", is_shown=True)

    def text() -> object:
        found = fresh.request("GetInputSettings", {"inputName": "status"})
        return found["inputSettings"].get("text")

    with running_rig(real_obs, tmp_path / "obs.toml", 'status_text = "status"\n'):
        wait_until(lambda: text() == "make it night, 180 ms", PATIENCE_S, "the status text")


def test_the_script_saves_its_keys_and_ends_cleanly(
    new_obs: Callable[[], RealObs],
) -> None:
    """Catches bindings that are gone after a restart, and a script that OBS cannot unload."""
    obs = new_obs()
    link = open_link(obs)
    hotkeys = [name for name in link.request("GetHotkeyList")["hotkeys"] if "liveedit." in name]
    link.close()
    assert len(hotkeys) == 14
    time.sleep(FIRST_DRAWING_S)
    assert obs.close() == 0
    script = obs.saved()["modules"]["scripts-tool"][0]
    assert {name: script["settings"][name] for name in hotkeys} == {
        name: SLATE_KEYS if name == "liveedit.slate" else [] for name in hotkeys
    }
    assert "Unloaded lua script: liveedit_cam.lua" in obs.log()


def test_our_picture_is_a_media_source_as_large_as_the_canvas(fresh: ObsLink) -> None:
    """Catches a small picture in the corner, and an old address after a restart of ours."""
    assert setup.add_picture(fresh, "picture", "http://127.0.0.1:9/#key=old")
    found = fresh.request("GetSceneItemId", {"sceneName": "Setup", "sourceName": "picture"})
    item = {"sceneName": "Setup", "sceneItemId": found["sceneItemId"]}
    transform = fresh.request("GetSceneItemTransform", item)["sceneItemTransform"]
    assert (transform["boundsWidth"], transform["boundsHeight"]) == (640, 360)
    assert not setup.add_picture(fresh, "picture", "http://127.0.0.1:9/#key=new")
    found = fresh.request("GetInputSettings", {"inputName": "picture"})
    assert found["inputSettings"]["input"] == "http://127.0.0.1:9/edited.mjpeg"
    assert found["inputSettings"]["ffmpeg_options"].endswith("'Authorization: Bearer new'")
    fresh.request("RemoveInput", {"inputName": "picture"})
