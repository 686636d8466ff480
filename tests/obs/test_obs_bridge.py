"""From events to commands: scenes, sources, other kinds, notices. OBS and the clock are fakes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bridge_fakes import Stage

from liveedit_cam.obs.errors import ObsLost
from liveedit_cam.obs.program import CONFIRM_S, NUM_LOOKS
from liveedit_cam.types import Mode, Region

SCENES = """
[[rule]]
when = { scene = "Night" }
edit = "make it night"
[[rule]]
when = { scene = "Day" }
edit = "golden light"
strength = 0.5
mode = "edit"
"""
NIGHT = ("make it night", 1.0, "obs:scene")
DAY = ("golden light", 0.5, "obs:scene")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "obs.toml"


def test_a_scene_acts_when_its_transition_starts_and_only_once(path: Path) -> None:
    """Catches acting at the end of the fade, or a second time there."""
    stage = Stage(path, SCENES)
    looks = stage.link.asked("GetCurrentProgramScene")
    assert stage.switch("Night") == [NIGHT]
    assert stage.link.asked("GetCurrentProgramScene") == looks + 1
    assert stage.emit("CurrentProgramSceneChanged", sceneName="Night") == []
    assert stage.switch("Day") == [Mode.EDIT, DAY]
    looks = stage.link.asked("GetCurrentProgramScene")
    stage.tick()
    assert stage.link.asked("GetCurrentProgramScene") == looks


def test_a_rule_puts_a_preset_into_force(path: Path) -> None:
    """Issue 20: a scene names a look; catches an unknown one passed over in silence."""
    rule = '[[rule]]\nwhen = {{ scene = "Show" }}\npreset = "{}"\n'
    assert Stage(path, rule.format("night")).switch("Show") == ["preset night obs:scene"]
    stage = Stage(path, rule.format("nihgt"))
    assert stage.switch("Show") == []
    assert "no preset is called 'nihgt'" in (stage.bridge.notice or "")


def test_the_scene_that_is_the_program_already_is_acted_on(path: Path) -> None:
    """Catches a restarted OBS or daemon that is out of step until the next switch."""
    stage = Stage(path, SCENES, program="Night")
    assert stage.settle() == [NIGHT]
    assert stage.settle() == []
    stage.bridge.lost()
    stage.bridge.connected(stage.link)
    assert stage.settle() == [NIGHT]
    stage.link.program = "Day"
    assert stage.emit("CurrentSceneCollectionChanged") == []
    assert stage.settle() == [Mode.EDIT, DAY]


def test_a_new_name_is_no_switch(path: Path) -> None:
    """Catches an instruction given because the user renamed the scene on the air."""
    stage = Stage(path, SCENES, program="Start")
    stage.settle()
    stage.link.program = "Night"
    assert stage.emit("SceneNameChanged", oldSceneName="Start", sceneName="Night") == []
    assert stage.emit("CurrentProgramSceneChanged", sceneName="Night") == []
    assert stage.settle() == []


def test_a_scene_that_obs_names_late_is_not_lost(path: Path) -> None:
    """Catches trusting the first answer: real OBS names the old scene in one case of twenty."""
    stage = Stage(path, SCENES)
    stage.settle()
    stage.link.lagging = ["Start"]
    assert stage.switch("Night") == [NIGHT]
    stage.link.lagging = ["Night"] * (NUM_LOOKS + 1)
    assert stage.switch("Day") == []
    assert stage.settle() == [Mode.EDIT, DAY]


BYPASS_IN_PREVIEW = """
[[rule]]
when = { scene = "Night" }
mode = "bypass"
"""


def test_a_scene_named_for_a_moment_without_a_transition_does_not_count(path: Path) -> None:
    """Issue 15. Catches the raw camera on the air: program Start, preview Night, Studio Mode is
    left, and for 2 ms OBS says that Night is the program, in its event and when it is asked."""
    stage = Stage(path, BYPASS_IN_PREVIEW)
    stage.settle()
    for _ in range(5):  # also when the user goes on and off faster than a name is believed
        stage.link.lagging = ["Night"]
        assert stage.emit("CurrentProgramSceneChanged", sceneName="Night") == []
        stage.now += CONFIRM_S
    assert stage.settle() == []
    assert stage.switch("Night") == [Mode.BYPASS]


def test_a_scene_that_is_named_wrongly_when_we_connect_does_not_count(path: Path) -> None:
    """Issue 15. Catches the same at the moment of connecting."""
    stage = Stage(path, BYPASS_IN_PREVIEW, lagging=["Night"])
    assert stage.settle() == []


def test_a_name_is_believed_after_a_tenth_of_a_second_and_not_before(path: Path) -> None:
    """Catches a wait that ends at the next tick, however soon that comes."""
    stage = Stage(path, SCENES)
    stage.settle()
    stage.link.program = "Night"
    assert stage.emit("CurrentProgramSceneChanged", sceneName="Night") == []
    assert stage.tick(CONFIRM_S / 2) == []
    assert stage.tick(CONFIRM_S) == [NIGHT]


def test_looking_for_the_scene_ends(path: Path) -> None:
    """Catches asking for ever after a studio transition from a scene to itself."""
    stage = Stage(path, SCENES)
    stage.settle()
    stage.switch("Start")
    for _ in range(20):
        stage.tick()
    asked = stage.link.asked("GetCurrentProgramScene")
    stage.tick()
    assert stage.link.asked("GetCurrentProgramScene") == asked


def test_the_end_of_a_transition_is_the_safety_net(path: Path) -> None:
    """Catches a switch without SceneTransitionStarted, such as one while OBS was busy."""
    stage = Stage(path, SCENES)
    stage.settle()
    stage.link.program = "Night"
    stage.emit("CurrentProgramSceneChanged", sceneName="Night")
    assert stage.settle() == [NIGHT]


def test_a_hundred_switches_end_on_the_right_instruction(path: Path) -> None:
    """Catches queues and delays that let an older switch win, with answers that lag at random."""
    stage = Stage(path, SCENES)
    for index in range(100):
        scene = ("Night", "Day", "Start")[index % 3]
        before = stage.link.program
        stage.link.lagging = [before] * (index % (NUM_LOOKS + 2))
        stage.switch(scene)
        if index % 4 == 0:
            stage.tick()
    stage.switch("Day")
    stage.settle()
    assert stage.commands.found.instruction == "golden light"


def test_the_preview_is_prepared_and_not_shown(path: Path) -> None:
    """Catches an instruction given before the cut, and a cut that waits for its encoding."""
    stage = Stage(path, SCENES)
    changed = stage.emit("CurrentPreviewSceneChanged", sceneName="Night")
    assert changed == ["prepare make it night"]
    assert stage.emit("CurrentPreviewSceneChanged", sceneName="Start") == []


def test_a_source_counts_in_the_program_and_in_its_groups(path: Path) -> None:
    """Catches an id taken for a name, other scenes, and markers inside a group."""
    rules = '[[rule]]\nwhen = { source = "Marker", is = "shown" }\nmode = "slate"\n'
    marker = {"sceneItemId": 4, "sourceName": "Marker", "isGroup": None}
    group = {"sceneItemId": 5, "sourceName": "Group", "isGroup": True}
    stage = Stage(path, rules, groups=["Group"])
    stage.link.items = {"Start": [group, marker], "Day": [marker], "Group": [marker]}

    def show(scene: str, item: int, enabled: bool = True) -> list[Any]:
        return stage.emit(
            "SceneItemEnableStateChanged",
            sceneName=scene,
            sceneItemId=item,
            sceneItemEnabled=enabled,
        )

    assert show("Start", 4) == [Mode.SLATE]
    assert show("Group", 4) == [Mode.SLATE]
    assert show("Start", 4, enabled=False) == []
    assert show("Start", 5) == []
    assert show("Day", 4) == []
    assert show("Gone", 4) == []


@pytest.mark.parametrize(
    ("when", "event", "data"),
    [
        ('input = "Mic", is = "muted"', "InputMuteStateChanged",
         {"inputName": "Mic", "inputMuted": True}),
        ('filter = "LUT", source = "Camera", is = "off"', "SourceFilterEnableStateChanged",
         {"sourceName": "Camera", "filterName": "LUT", "filterEnabled": False}),
        ('custom = "night"', "CustomEvent", {"liveedit": "night"}),
        ('vendor = "AdvancedSceneSwitcher", message = "night"', "VendorEvent",
         {"vendorName": "AdvancedSceneSwitcher", "eventType": "AdvancedSceneSwitcherEvent",
          "eventData": {"message": "night"}}),
        ('stream = "started"', "StreamStateChanged",
         {"outputActive": True, "outputState": "OBS_WEBSOCKET_OUTPUT_STARTED"}),
        ('record = "stopped"', "RecordStateChanged",
         {"outputActive": False, "outputState": "OBS_WEBSOCKET_OUTPUT_STOPPED"}),
    ],
)  # fmt: skip
def test_each_kind_acts_on_the_event_of_the_protocol(
    path: Path, when: str, event: str, data: dict[str, Any]
) -> None:
    """Catches an event name or field that is not the protocol's; the data is as OBS sends it."""
    stage = Stage(path, f'[[rule]]\nwhen = {{ {when} }}\nedit = "make it night"\n')
    kind = when.partition(" ")[0]
    assert stage.emit(event, **data) == [("make it night", 1.0, f"obs:{kind}")]
    assert stage.emit("ReplayBufferStateChanged", **data) == []


def test_a_strength_alone_keeps_the_instruction(path: Path) -> None:
    """Catches the shown instruction sent again while a newer one is pending."""
    stage = Stage(path, '[[rule]]\nwhen = { custom = "half" }\nstrength = 0.5\n')
    left = Region(0, 0, 0.5, 1)
    stage.commands.found = replace(stage.commands.found, region=left, seed=3)
    assert stage.emit("CustomEvent", liveedit="half") == [("golden light", 0.5, "obs:custom")]
    assert stage.commands.places == [(left, 3)]
    stage.commands.found = replace(stage.commands.found, pending="make it night")
    assert stage.emit("CustomEvent", liveedit="half") == [("make it night", 0.5, "obs:custom")]
    stage.commands.found = replace(stage.commands.found, pending=None, instruction=None)
    assert stage.emit("CustomEvent", liveedit="half") == []
    assert "add an edit" in str(stage.bridge.notice)


def test_a_rule_that_fails_does_not_stop_the_others(path: Path) -> None:
    """Catches one broken rule, or a refused instruction, that silences all that follow."""
    rules = (
        '[[rule]]\nwhen = { custom = "go" }\nedit = "break"\nmode = "slate"\n'
        '[[rule]]\nwhen = { custom = "go" }\nmode = "bypass"\n'
        '[[rule]]\nwhen = { custom = "stop" }\nedit = "break"\n'
    )
    stage = Stage(path, rules)
    assert stage.emit("CustomEvent", liveedit="go") == [Mode.SLATE, Mode.BYPASS]
    assert stage.bridge.notice is None  # the last word was a success
    assert stage.emit("CustomEvent", liveedit="stop") == []
    assert 'custom = "stop"' in str(stage.bridge.notice)
    assert "RuntimeError: a defect in the daemon" in str(stage.bridge.notice)


def test_a_lost_link_is_not_swallowed(path: Path) -> None:
    """Catches a dead link taken for a failing rule: the connection must hear of it."""
    stage = Stage(path, SCENES)
    stage.link.is_lost = True
    with pytest.raises(ObsLost):
        stage.switch("Night")


def test_unknown_names_are_told_once_and_kept(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Catches a typing error nobody hears of, a warning at each tick, and a rule thrown away."""
    filters = '[[rule]]\nwhen = { filter = "LUT", source = "Box", is = "on" }\nmode = "edit"\n'
    stage = Stage(path, SCENES + filters, scenes=["Start", "Night"], filters={"Box": []})
    stage.tick()
    assert 'scene "Day" (line 5), filter "LUT" (line 10)' in str(stage.bridge.notice)
    stage.emit("SceneCreated", sceneName="Other")
    stage.tick()
    assert caplog.text.count('scene "Day"') == 1
    stage.link.scenes.append("Day")
    stage.link.filters["Box"].append("LUT")
    stage.emit("SceneCreated", sceneName="Day")
    stage.tick()
    assert stage.bridge.notice is None
    assert stage.switch("Day") == [Mode.EDIT, DAY]


def test_changed_rules_count_without_a_restart(path: Path) -> None:
    """Catches rules that need a restart, and a mistake in the file that turns OBS off."""
    stage = Stage(path, SCENES)
    path.write_text(SCENES.replace("make it night", "snow everywhere"))
    stage.settle()
    assert stage.switch("Night") == [("snow everywhere", 1.0, "obs:scene")]
    path.write_text(SCENES + "[[rule]]\nwhen = 3\n")
    stage.settle()
    assert "line 11: got when = 3" in str(stage.bridge.notice)
    assert stage.switch("Day") == [Mode.EDIT, DAY]


def test_a_mended_rule_takes_its_complaint_along(path: Path) -> None:
    """Catches a notice about a rule that is not there any more."""
    stage = Stage(path, '[[rule]]\nwhen = { custom = "go" }\nedit = "break"\n')
    stage.emit("CustomEvent", liveedit="go")
    assert "a defect in the daemon" in str(stage.bridge.notice)
    path.write_text(SCENES)
    stage.settle()
    assert stage.bridge.notice is None


def test_our_picture_gets_its_address_though_obs_refuses_at_first(path: Path) -> None:
    """Issue 17. Catches an address noted as given before OBS has taken it: a black source until
    the next connection; and a question at every tick while OBS refuses."""
    stage = Stage(path, SCENES, kinds={"LiveEdit": "ffmpeg_source"}, refused="SetInputSettings")
    old = {"input": "http://127.0.0.1:9/edited.mjpeg", "ffmpeg_options": "Bearer old'"}
    stage.link.inputs["LiveEdit"] = dict(old)
    preview = "http://127.0.0.1:9/#key=new"
    stage.commands.found = replace(stage.commands.found, preview_url=preview)
    for _ in range(9):
        stage.tick()
    assert stage.link.asked("SetInputSettings") == 1
    assert "OBS refused SetInputSettings" in str(stage.bridge.notice)
    stage.link.refused = None
    stage.tick(1.0)
    assert "Bearer new'" in stage.link.inputs["LiveEdit"]["ffmpeg_options"]
    assert stage.bridge.notice is None
    asked = len(stage.link.requests)
    stage.tick(2.0)
    assert len(stage.link.requests) == asked
    stage.bridge.lost()
    stage.bridge.connected(stage.link)
    stage.link.inputs["LiveEdit"] = dict(old)
    stage.tick()
    assert "Bearer new'" in stage.link.inputs["LiveEdit"]["ffmpeg_options"]


def test_a_name_that_is_missing_again_is_told_again(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Issue 17. Catches a memory of everything ever logged, which grows as long as OBS runs."""
    stage = Stage(path, SCENES)
    stage.tick()
    for _ in range(2):
        stage.link.scenes.remove("Day")
        stage.emit("SceneRemoved", sceneName="Day")
        stage.tick()
        stage.link.scenes.append("Day")
        stage.emit("SceneCreated", sceneName="Day")
        stage.tick()
    assert caplog.text.count('scene "Day"') == 2
