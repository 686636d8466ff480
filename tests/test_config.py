"""One Config from file, environment and flags; each mistake named with its place."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from liveedit_cam.config import NOT_CONFIG, RENAMED, Config, default_path, load_config
from liveedit_cam.errors import ConfigError
from liveedit_cam.protocols import EditorOptions
from liveedit_cam.types import Mode


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment whose home folder is empty, so that no real configuration is read."""
    return {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}


def write(folder: Path, text: str) -> Path:
    path = folder / "my.toml"
    path.write_text(text, "utf-8")
    return path


def test_nothing_given_is_the_default(home: dict[str, str]) -> None:
    """Catches a default that its own limits refuse, and a flag not given that counts as given."""
    assert load_config(None, home, {"width": None, "prompt": None}) == Config()


def test_flags_win_over_environment_over_file(tmp_path: Path, home: dict[str, str]) -> None:
    """Catches layers in the wrong order."""
    path = write(tmp_path, "width = 320\nheight = 240\nfps = 10\nsource = 'pattern'")
    environ = {**home, "LIVEEDIT_CAM_HEIGHT": "480", "LIVEEDIT_CAM_FPS": "20"}
    found = load_config(path, environ, {"fps": 25.0})
    assert (found.source, found.width, found.height, found.fps) == ("pattern", 320, 480, 25.0)


def test_the_users_own_file_is_found(tmp_path: Path, home: dict[str, str]) -> None:
    """Catches a default place that is written nowhere but never read."""
    path = tmp_path / "config" / "liveedit-cam" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text("mode = 'slate'\nsinks = ['file:a,b.mp4', 'preview']\nloop = false")
    found = load_config(None, home, {})
    assert found.mode is Mode.SLATE
    assert found.sinks == ("file:a,b.mp4", "preview")
    assert found.loop is False


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {"HOME": "/h"}, "/h/.config/liveedit-cam/config.toml"),
        ("linux", {"HOME": "/h", "XDG_CONFIG_HOME": "/x"}, "/x/liveedit-cam/config.toml"),
        ("darwin", {"HOME": "/h"}, "/h/Library/Application Support/liveedit-cam/config.toml"),
        ("win32", {"HOME": "/h", "APPDATA": "/a"}, "/a/liveedit-cam/config.toml"),
    ],
)
def test_each_system_has_its_place(platform: str, environ: dict[str, str], expected: str) -> None:
    """Catches a file looked for where no user of that system would put it."""
    assert default_path(environ, platform) == Path(expected)


def test_environment_values_get_their_types(home: dict[str, str]) -> None:
    """Catches variables, which are always text, being refused or kept as text."""
    environ = {
        **home,
        "LIVEEDIT_CAM_SINKS": "virtual-camera, preview:8643",
        "LIVEEDIT_CAM_LOOP": "false",
        "LIVEEDIT_CAM_STRENGTH": "0.5",
        "LIVEEDIT_CAM_DELAY_MS": "250",
    }
    found = load_config(None, environ, {})
    assert found.sinks == ("virtual-camera", "preview:8643")
    assert found.loop is False
    assert (found.strength, found.delay_ms) == (0.5, 250.0)


@pytest.mark.parametrize("variable", sorted(NOT_CONFIG))
def test_variables_of_other_modules_are_left_alone(home: dict[str, str], variable: str) -> None:
    """Catches a run that cannot start because another module's variable is set."""
    assert load_config(None, {**home, variable: "x"}, {}) == Config()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("width", 63, "64 to 3840"),
        ("width", 641, "even"),
        ("width", 3842, "64 to 3840"),
        ("height", 2162, "64 to 2160"),
        ("fps", 0.5, "1 to 60"),
        ("fps", 61, "1 to 60"),
        ("fps", "fast", "1 to 60"),
        ("strength", 1.01, "0 .* to 1"),
        ("strength", float("nan"), "0 .* to 1"),
        ("hold_s", float("inf"), "0 to 3600"),
        ("mode", "black", "edit, bypass or slate"),
        ("on_failure", "freeze", "slate, or raw"),
        ("port", 65536, "port"),
        ("sinks", (), "one or more"),
        ("sinks", ("preview", ""), "one or more"),
        ("source", "", "kind:target"),
        ("prompt", "", "1 to 2000 characters"),
        ("prompt", "a" * 2001, "1 to 2000 characters"),
        ("prompt", 5, "1 to 2000 characters"),
        ("seed", -1, "from 0"),
        ("edit_timeout_s", 0, "up to 3600"),
        ("delay_ms", -1, "0 to 10000"),
    ],
)
def test_a_bad_value_says_got_and_expected(
    home: dict[str, str], name: str, value: object, expected: str
) -> None:
    """Catches a limit that is missing or not told."""
    with pytest.raises(ConfigError, match=rf"command line: got {name} = .*expected .*{expected}"):
        load_config(None, home, {name: value})


def test_a_bad_value_in_a_file_has_a_line(tmp_path: Path, home: dict[str, str]) -> None:
    """Catches "width is wrong" with no word of where."""
    path = write(tmp_path, "# comment with width = 1\n\nfps = 30\nwidth = 63\n")
    with pytest.raises(ConfigError, match=r"my\.toml line 4: got width = 63"):
        load_config(path, home, {})


def test_a_bad_variable_is_named(home: dict[str, str]) -> None:
    """Catches a message that sends the user to the wrong layer."""
    with pytest.raises(ConfigError, match="LIVEEDIT_CAM_WIDTH: got width = '1k'"):
        load_config(None, {**home, "LIVEEDIT_CAM_WIDTH": "1k"}, {})


def test_an_unknown_name_is_refused_in_each_layer(tmp_path: Path, home: dict[str, str]) -> None:
    """Catches a misspelled setting that is silently without effect."""
    path = write(tmp_path, "fps = 30\n[sink]\nkind = 'preview'")
    with pytest.raises(ConfigError, match=r"my\.toml line 2: .*'sink'.*Did you mean 'sinks'"):
        load_config(path, home, {})
    with pytest.raises(ConfigError, match=r"LIVEEDIT_CAM_PROMT: .*Did you mean 'prompt'"):
        load_config(None, {**home, "LIVEEDIT_CAM_PROMT": "x"}, {})
    with pytest.raises(ConfigError, match="The settings are: source, sinks"):
        load_config(None, home, {"zzz": 1})


@pytest.mark.parametrize("name", sorted(RENAMED))
def test_a_setting_of_an_earlier_version_names_its_heir(home: dict[str, str], name: str) -> None:
    """Catches a file of an earlier version refused as a typing error, or sent to no setting."""
    heir = RENAMED[name]
    with pytest.raises(ConfigError, match=rf"line: {name!r} is no setting any more.*see {heir!r}"):
        load_config(None, home, {name: 15})
    assert heir in Config.model_fields


def test_the_editor_gets_all_that_was_asked_for() -> None:
    """Catches a doctor or a run whose editor lacks an option, such as its token or its LoRA."""
    config = Config(
        model="liveedit-1.3b",
        device="cuda",
        steps=2,
        max_field_age_ms=500,
        remote_token=SecretStr("secret"),
        remote_certificate=Path("ca.pem"),
        codec="tiny",
        window=9,
        paper_mode=True,
        fp8=True,
        lora="look.safetensors:0.8",
    )
    found = config.editor_options
    assert found == EditorOptions(
        model="liveedit-1.3b",
        device="cuda",
        num_steps=2,
        max_field_age_s=0.5,
        token="secret",
        certificate=Path("ca.pem"),
        codec="tiny",
        window=9,
        is_paper_mode=True,
        uses_fp8=True,
        lora="look.safetensors:0.8",
    )
    usual = EditorOptions("nano")
    given = {
        one.name for one in fields(found) if getattr(found, one.name) != getattr(usual, one.name)
    }
    assert given == {one.name for one in fields(found)} - {"target"}  # that is in its spec
    assert Config(max_field_age_ms=None).editor_options.max_field_age_s is None


def test_a_file_that_was_named_must_be_there(tmp_path: Path, home: dict[str, str]) -> None:
    """Catches a typing error in --config that runs with the defaults instead."""
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read.*--config"):
        load_config(tmp_path / "none.toml", home, {})


@pytest.mark.parametrize("content", [b"width 640", b"\xff\xfe", b"width = 1\nwidth = 2"])
def test_a_file_that_is_no_toml_is_named(
    tmp_path: Path, home: dict[str, str], content: bytes
) -> None:
    """Catches a parser's traceback in front of the user."""
    path = tmp_path / "my.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"my\.toml is not valid TOML"):
        load_config(path, home, {})


def test_a_config_cannot_be_changed() -> None:
    """Catches a layer that changes what another one has already read."""
    with pytest.raises(ValidationError, match="frozen"):
        Config().width = 640  # type: ignore[misc]


def test_every_setting_is_described() -> None:
    """Catches a new setting whose error message could not say what is expected."""
    assert [name for name, found in Config.model_fields.items() if not found.description] == []


def test_a_password_is_never_shown(home: dict[str, str]) -> None:
    """Catches a password in a repr, and one quoted by the message about a wrong value."""
    config = load_config(None, home, {"obs_password": "hunter2"})
    assert config.obs_password is not None
    assert config.obs_password.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(config)
    with pytest.raises(ConfigError) as error:
        load_config(None, home, {"obs_password": ["hunter2"]})
    assert "hunter2" not in str(error.value)
    assert "obs_password = (hidden)" in str(error.value)
