"""`liveedit-cam obs`: what it asks of OBS, against the fake server, and what the user reads.

Real OBS gets the same requests in ``real/test_real_obs_setup.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_obs import FakeObs
from setup_stage import PREVIEW, Camera, Desk, Shell

from liveedit_cam.control.app import create_app
from liveedit_cam.control.server import ControlServer, bind
from liveedit_cam.control.state import DaemonLock
from liveedit_cam.errors import ControlError
from liveedit_cam.obs import setup
from liveedit_cam.obs.link import connect
from liveedit_cam.obs.rules import load_rules, parse_rules
from liveedit_cam.obs.setup import add_picture, renew_pictures, script_path
from liveedit_cam.types import Latency, Mode, Status


@pytest.fixture
def desk(obs: FakeObs) -> Desk:
    return Desk(obs)


@pytest.fixture
def shell(tmp_path: Path, obs: FakeObs) -> Shell:
    return Shell(tmp_path, obs)


@pytest.fixture
def camera(shell: Shell) -> Iterator[Camera]:
    """A liveedit-cam with a preview, 350.4 ms behind."""
    controller = Camera()
    lock = DaemonLock(Path(shell.environ["LIVEEDIT_CAM_RUNTIME_DIR"]))
    server = ControlServer(create_app(controller, lock.token, lock.release), bind(0))
    server.start()
    lock.publish(server.port)
    yield controller
    server.stop()
    lock.release()


def test_setup_creates_only_what_is_asked_for(desk: Desk, shell: Shell) -> None:
    """Catches sources that appear in the user's scenes uninvited."""
    ran = shell.run("setup")
    assert desk.inputs == {}
    assert ran.out.endswith(f"wrote first rules: {shell.rules}\n")
    assert f"choose this script in OBS, Tools > Scripts > +: {script_path()}" in ran.out
    assert load_rules(shell.rules).rules == ()


def test_setup_says_where_the_password_came_from_and_not_what_it_is(
    desk: Desk, obs: FakeObs, shell: Shell
) -> None:
    """Catches a password on the screen, and a user who cannot tell which one was used."""
    shell.environ["LIVEEDIT_CAM_OBS_PASSWORD"] = obs.password = "hunter2"
    ran = shell.run("setup", "--prompt")
    assert ran.err == f"OBS at 127.0.0.1:{obs.port}, password: LIVEEDIT_CAM_OBS_PASSWORD\n"
    assert "hunter2" not in ran.out + ran.err + shell.rules.read_text("utf-8")


def test_setup_creates_sources_with_rules_for_them(desk: Desk, shell: Shell) -> None:
    """Catches sources no rule mentions, the oldest kind of text source, a visible prompt."""
    ran = shell.run("setup", "--prompt", "--status-text", "--marker", "Night key")
    made = {
        name: (one["inputKind"], one["sceneItemEnabled"], one["sceneName"])
        for name, one in desk.inputs.items()
    }
    assert made == {
        "LiveEdit prompt": ("text_ft2_source_v2", False, "Scene"),
        "LiveEdit status": ("text_ft2_source_v2", True, "Scene"),
        "Night key": ("color_source_v3", False, "Scene"),
    }
    assert 'created the source "Night key"' in ran.out
    book = load_rules(shell.rules)
    assert book.status_text == "LiveEdit status"
    assert [dict(rule.when) for rule in book.rules] == [
        {"text": "LiveEdit prompt"},
        {"source": "Night key", "is": "shown"},
        {"source": "Night key", "is": "hidden"},
    ]


def test_setup_twice_changes_nothing(desk: Desk, shell: Shell) -> None:
    """Catches a second source, and rules of the user that are written over."""
    shell.run("setup", "--prompt")
    shell.write("# mine\n" + shell.rules.read_text("utf-8"))
    before = shell.rules.read_text("utf-8")
    ran = shell.run("setup", "--prompt")
    assert '"LiveEdit prompt" is there already' in ran.out
    assert f"left your rules as they are: {shell.rules}" in ran.out
    assert "[[rule]]" not in ran.out
    assert shell.rules.read_text("utf-8") == before
    assert list(desk.inputs) == ["LiveEdit prompt"]


def test_setup_says_what_the_user_s_own_rules_lack(desk: Desk, shell: Shell) -> None:
    """Catches a new source that does nothing, without a word why."""
    shell.write('[[rule]]\nwhen = { scene = "Night" }\nedit = "golden light"\n')
    ran = shell.run("setup", "--prompt", "--status-text", "--marker", 'my "night"')
    _, _, missing = ran.out.partition("add to them:\n")
    assert len(parse_rules(missing, "the answer").rules) == 3
    assert parse_rules(missing, "the answer").status_text == "LiveEdit status"


def test_a_prompt_box_that_is_there_gets_its_rule(desk: Desk, shell: Shell) -> None:
    """Catches a source made by the script in OBS whose rule stays an example."""
    desk.inputs["LiveEdit prompt"] = {"inputKind": "text_ft2_source_v2"}
    shell.run("setup")
    assert [dict(rule.when) for rule in load_rules(shell.rules).rules] == [
        {"text": "LiveEdit prompt"}
    ]


def test_a_name_that_is_taken_by_another_kind_is_refused(desk: Desk, shell: Shell) -> None:
    """Catches a camera that is taken for the prompt box."""
    desk.inputs["LiveEdit prompt"] = {"inputKind": "v4l2_input"}
    assert "is a v4l2_input, expected text_gdiplus or text_ft2_source" in str(
        shell.fails("setup", "--prompt")
    )


def test_an_obs_without_text_sources_says_what_to_install(desk: Desk, shell: Shell) -> None:
    """Catches a request for a kind OBS does not have."""
    desk.kinds = ["color_source_v3"]
    error = shell.fails("setup", "--prompt")
    assert "no text_gdiplus and no text_ft2_source" in error.message
    assert error.hint is not None
    assert "obs-plugins" in error.hint


def test_rules_that_cannot_be_written_are_an_error_with_the_path(tmp_path: Path) -> None:
    """Catches a traceback for a folder that is a file."""
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(ControlError, match="cannot be written"):
        setup.write_rules(tmp_path / "file" / "obs.toml", "")


@pytest.mark.parametrize("command", ["setup", "status"])
def test_without_obs_the_way_to_turn_it_on_is_told(
    obs: FakeObs, shell: Shell, command: str
) -> None:
    """Catches "connection refused" for the many whose OBS has its web socket off."""
    obs.stop()
    error = shell.fails(command)
    assert error.exit_code == 5
    assert "Enable WebSocket server" in str(error)
    assert not shell.rules.exists()


def test_status_tells_what_obs_lacks(desk: Desk, shell: Shell) -> None:
    """Catches a misspelt scene nobody tells the user about."""
    shell.write('[[rule]]\nwhen = { scene = "Nihgt" }\nedit = "make it night"\n')
    lines = shell.run("status").out.splitlines()
    assert [line.split(maxsplit=1)[0] for line in lines] == ["OBS", "scene", "rules", "not", "text"]
    assert lines[0].endswith("29.0.2, obs-websocket 5.1.0, protocol 1")
    assert lines[2].endswith(f"1 in {shell.rules}")
    assert lines[3].endswith('scene "Nihgt" (line 1)')
    assert lines[4].endswith("obs-websocket before 5.4")


def test_status_without_rules_and_with_a_newer_obs(obs: FakeObs, shell: Shell) -> None:
    """Catches a missing rule file that is an error."""
    obs.websocket_version = "5.5.2"
    Desk(obs)
    lines = shell.run("status").out.splitlines()
    assert lines[2:] == [f"rules  none, no file {shell.rules}"]


def test_test_fires_each_rule_and_changes_nothing(obs: FakeObs, shell: Shell) -> None:
    """Catches a dry run that needs OBS or acts on it."""
    shell.write(
        '[[rule]]\nwhen = { text = "LiveEdit prompt" }\n\n'
        '[[rule]]\nwhen = { input = "Mic", is = "muted" }\nmode = "slate"\nstrength = 0.5\n'
    )
    before = len(obs.requests)
    first, second = shell.run("test").out.splitlines()
    assert first.startswith('line 1  text = "LiveEdit prompt": ')
    assert first.endswith('edit "make it night"')
    assert second == 'line 4  input = "Mic", is = "muted": mode slate, strength 0.5'
    assert len(obs.requests) == before


def test_test_without_rules_says_how_to_get_some(shell: Shell) -> None:
    """Catches an empty answer."""
    assert "obs setup" in str(shell.fails("test"))


def test_add_source_shows_the_edited_picture(desk: Desk, camera: Camera, shell: Shell) -> None:
    """Catches the source picture instead of the edited one, the page, and a lost time option."""
    assert shell.run("add-source").out == 'created the media source "LiveEdit"\n'
    settings = desk.inputs["LiveEdit"]["inputSettings"]
    assert settings["input"] == "http://127.0.0.1:8642/edited.mjpeg"
    options = "use_wallclock_as_timestamps=1 headers='Authorization: Bearer k'"
    assert settings["ffmpeg_options"] == options
    assert (settings["buffering_mb"], settings["is_local_file"]) == (0, False)
    transform = desk.transforms[0]["sceneItemTransform"]
    assert (transform["boundsWidth"], transform["boundsHeight"]) == (1920, 1080)


def test_add_source_again_renews_the_address(desk: Desk, camera: Camera, shell: Shell) -> None:
    """Catches a source that keeps the key of the last run, and one the user sized anew."""
    shell.run("add-source", "--name", "Me")
    camera.found = Status(preview_url="http://127.0.0.1:8650/#key=new")
    assert shell.run("add-source", "--name", "Me").out.startswith("renewed the address of")
    settings = desk.inputs["Me"]["inputSettings"]
    assert settings["input"] == "http://127.0.0.1:8650/edited.mjpeg"
    assert settings["ffmpeg_options"].endswith(" headers='Authorization: Bearer new'")
    assert len(desk.transforms) == 1


def test_add_source_without_a_preview_says_how_to_start_it(
    desk: Desk, camera: Camera, shell: Shell
) -> None:
    """Catches a source that plays nothing."""
    camera.found = Status(preview_url=None)
    assert "--sink preview" in str(shell.fails("add-source"))
    assert desk.inputs == {}


def test_add_source_for_an_obs_elsewhere_is_refused(camera: Camera, shell: Shell) -> None:
    """Catches an address of this computer that is handed to another one."""
    shell.environ["LIVEEDIT_CAM_OBS_HOST"] = "192.0.2.7"
    assert "this computer only" in str(shell.fails("add-source"))


def test_add_source_without_liveedit_cam_says_so(desk: Desk, shell: Shell) -> None:
    """Catches a question to OBS before there is a picture."""
    assert "no liveedit-cam is running" in str(shell.fails("add-source"))


def test_sync_audio_and_undo(desk: Desk, camera: Camera, shell: Shell) -> None:
    """Catches an offset that adds up, and a former one that is forgotten or kept for ever."""
    assert '"Mic": 310 ms, before -40 ms' in shell.run("sync-audio", "Mic").out
    camera.found = Status(glass_to_sink=Latency(500.0, 600.0))
    shell.run("sync-audio", "Mic")
    assert desk.offsets == {"Mic": 460}
    assert desk.slots == {"liveedit-cam sync-audio": {"Mic": -40}}
    assert "-40 ms again" in shell.run("sync-audio", "Mic", "--undo").out
    assert desk.offsets == {"Mic": -40}
    assert desk.slots == {"liveedit-cam sync-audio": {}}
    assert "No input was changed" in str(shell.fails("sync-audio", "Mic", "--undo"))


def test_sync_audio_takes_a_delay_of_the_user(desk: Desk, shell: Shell) -> None:
    """Catches a given delay that still needs a running liveedit-cam."""
    shell.run("sync-audio", "Mic", "--delay", "200")
    assert desk.offsets == {"Mic": 160}


def test_sync_audio_before_the_first_picture_is_refused(
    desk: Desk, camera: Camera, shell: Shell
) -> None:
    """Catches an offset of 0 that looks like success."""
    camera.found = Status(mode=Mode.EDIT)
    assert "not known yet" in str(shell.fails("sync-audio", "Mic"))
    assert desk.offsets == {"Mic": -40}


def test_sync_audio_of_an_unknown_input_keeps_nothing(desk: Desk, shell: Shell) -> None:
    """Catches a former offset kept for an input that is not there."""
    assert "No source was found" in str(shell.fails("sync-audio", "Mike", "--delay", "200"))
    assert json.dumps(desk.slots) == "{}"


def test_the_picture_gets_the_address_of_this_run(desk: Desk, obs: FakeObs) -> None:
    """Catches a source that stays black after a restart, and one of another program that is taken.

    The key in the address is new in each run; a second look has nothing left to do.
    """
    link = connect(obs.address, lambda name, data: None, print, timeout_s=10.0)
    try:
        add_picture(link, "LiveEdit", PREVIEW)
        desk.inputs["Film"] = {
            "inputKind": "ffmpeg_source",
            "inputSettings": {"input": "http://127.0.0.1:9000/film.mp4"},
        }
        obs.answers["GetInputSettings"] = lambda data: {
            "inputSettings": desk.inputs[data["inputName"]]["inputSettings"]
        }
        new = PREVIEW.replace("key=k", "key=new")
        assert renew_pictures(link, new) == ("LiveEdit",)
        settings = desk.inputs["LiveEdit"]["inputSettings"]
        assert settings["ffmpeg_options"].endswith(" headers='Authorization: Bearer new'")
        assert desk.inputs["Film"]["inputSettings"]["input"].endswith("film.mp4")
        assert renew_pictures(link, new) == ()
    finally:
        link.close()


def test_the_script_is_found() -> None:
    """Catches a path in the answer of `obs setup` that leads nowhere."""
    script = script_path()
    assert script is not None
    assert "obs_hotkey_save" in script.read_text("utf-8")
