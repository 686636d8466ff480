"""``serve`` and ``--editor remote:``: what is said before anything is started."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from liveedit_cam import cores
from liveedit_cam.commands.run import with_own_token
from liveedit_cam.commands.serve import serve, share_with_cameras, told
from liveedit_cam.config import Config
from liveedit_cam.errors import ConfigError, MissingDependencyError, UsageError
from liveedit_cam.service.plain import Listen
from liveedit_cam.service.settings import ServeSettings


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEEDIT_CAM_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # serve sets it for the whole process


@pytest.mark.parametrize("both", [True, False])
def test_one_way_to_serve_is_named(both: bool) -> None:
    """Catches a server that starts although nobody said how."""
    with pytest.raises(UsageError, match="one of --local and --no-ray"):
        serve(local=both, no_ray=both)


@pytest.mark.skipif(find_spec("ray") is not None, reason="ray is here")
def test_without_ray_one_line_says_what_to_install() -> None:
    """Catches an ImportError shown to a user."""
    with pytest.raises(MissingDependencyError, match=r'pip install "liveedit-cam\[serve\]"'):
        serve(local=True)


@pytest.mark.parametrize(
    ("options", "says"),
    [({"sessions": 0}, "max_sessions = 0, expected cameras"), ({"gpus": -1.0}, "num_gpus")],
)
def test_a_wrong_number_is_named(options: dict[str, float], says: str) -> None:
    """Catches pydantic's own words."""
    with pytest.raises(ConfigError, match=says):
        serve(no_ray=True, **options)  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(
    ("listen", "is_beside"),
    [
        (Listen(), True),
        (Listen("localhost"), True),
        (Listen("0.0.0.0", certificate=Path("c.pem")), False),
        (Listen(has_tls_in_front=True), False),
    ],
)
def test_cameras_beside_the_server_come_first(
    listen: Listen, is_beside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a picture that waits for the model of its own computer, and a server that idles."""
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(cores, "usable_cores", lambda: 4)
    nices: list[int] = []
    monkeypatch.setattr(cores, "give_way", lambda: nices.append(cores.NICENESS))
    share_with_cameras(listen)
    assert nices == ([cores.NICENESS] if is_beside else [])
    assert os.environ["OMP_NUM_THREADS"] == ("3" if is_beside else "4")


def test_the_user_is_told_what_to_type() -> None:
    """Catches an address that the camera would refuse, and a token that is shown."""
    settings = ServeSettings.model_validate({"token": "0123456789abcdef"})
    here = told(settings, Listen(), 8650)
    assert "run --editor remote:ws://localhost:8650" in here
    elsewhere = told(settings, Listen("0.0.0.0", certificate=Path("c.pem")), 8650)
    assert "run --editor remote:wss://THIS-COMPUTER:8650" in elsewhere
    assert "0123456789abcdef" not in here + elsewhere


def test_a_server_on_this_computer_needs_no_token_typed() -> None:
    """Catches a second terminal in which the line of the docs does not work."""
    local = with_own_token(Config(editor="remote:ws://localhost:8650"))
    again = with_own_token(Config(editor="remote:ws://127.0.0.1:8650"))
    assert local.remote_token == again.remote_token
    assert local.remote_token is not None
    far = Config(editor="remote:wss://gpu.lan:8650")
    assert with_own_token(far) is far
    assert with_own_token(Config()).remote_token is None
    with pytest.raises(UsageError, match="expected wss"):
        with_own_token(Config(editor="remote:ws://gpu.lan:8650"))
