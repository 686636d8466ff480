"""Who answers at an address, and that the password goes nowhere else."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from connection_stage import SHORT_S, Caller
from fake_obs import PATIENCE_S, FakeObs, Fault

from liveedit_cam.obs.errors import ObsError, ObsTooOld, ObsUnreachable, ObsWrongPassword
from liveedit_cam.obs.link import ObsAddress


@pytest.mark.parametrize(
    ("password", "words"), [("wrong", "refused the password"), ("", "none is known")]
)
def test_a_wrong_password_is_told_from_a_missing_one(
    obs: FakeObs, caller: Caller, password: str, words: str
) -> None:
    """Catches the library's one message for every refusal; the hint says where OBS shows it."""
    with pytest.raises(ObsWrongPassword, match=words) as caught:
        caller.connect(replace(obs.address, password=password))
    assert "Show Connect Info" in str(caught.value)
    obs.wait_clients(0)


@pytest.mark.parametrize(("rpc_version", "words"), [(0, "version 0"), (2, "no version 1")])
def test_another_protocol_is_refused_by_its_version(
    caller: Caller, rpc_version: int, words: str
) -> None:
    """Catches an OBS that is too old, or too new, taken for a wrong password."""
    with (
        FakeObs(password="secret", rpc_version=rpc_version) as obs,
        pytest.raises(ObsTooOld, match=rf"{words}.*, expected protocol version 1.*OBS 28"),
    ):
        caller.connect(obs.address)


def test_a_closed_port_says_that_nobody_listens(caller: Caller) -> None:
    """Catches the system's bare words, and a traceback printed for the everyday case."""
    with pytest.raises(ObsUnreachable, match=r"Nobody listens at 127.0.0.1:\d+.*Start OBS"):
        caller.connect(ObsAddress("127.0.0.1", free_port(), "secret"))


def test_a_server_that_says_nothing_is_unreachable(obs: FakeObs, caller: Caller) -> None:
    """Catches a connect without end; so does obs-websocket 4, which waits for the client."""
    obs.fault = Fault.SILENT
    with pytest.raises(ObsUnreachable, match=r"did not answer within 0\.2 s"):
        caller.connect(obs.address, SHORT_S)


@pytest.mark.parametrize("hello", ['{"hello": 1}', "[]", "no json"])
def test_another_websocket_server_is_not_taken_for_obs(caller: Caller, hello: str) -> None:
    """Catches a KeyError for a user who wrote the port of another program."""
    with OtherServer(hello) as other, pytest.raises(ObsUnreachable, match="does not answer like"):
        caller.connect(other.address)


def test_a_web_server_is_not_taken_for_obs(caller: Caller) -> None:
    """Catches the whole page of a web server inside an error message."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=serve_page, args=(listener,))
        serving.start()
        address = ObsAddress("127.0.0.1", listener.getsockname()[1], "")
        with pytest.raises(ObsUnreachable, match="does not answer like OBS") as caught:
            caller.connect(address)
        serving.join(PATIENCE_S)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("host", ["", "no such host", "a/b"])
def test_a_host_that_is_none_is_an_error_of_ours(caller: Caller, host: str) -> None:
    """Catches a ValueError of the library for a name typed wrong."""
    with pytest.raises(ObsError):
        caller.connect(ObsAddress(host, 4455, ""))


def test_an_ipv6_number_is_written_in_brackets() -> None:
    """Catches a URL whose port is read as part of the number."""
    assert str(ObsAddress("::1", 4455, "")) == "[::1]:4455"


def test_the_password_is_in_no_log_no_repr_and_no_error(
    caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    """Catches the library's own line at INFO, which holds the password, and its tracebacks."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="obsws_python")
    secret = "correct-horse-battery"
    with FakeObs(password=secret) as obs:
        link = caller.connect(obs.address)
        link.request("GetVersion")
        assert secret not in repr(obs.address) + str(obs.address) + repr(link) + repr(vars(link))
    with pytest.raises(ObsUnreachable) as caught:
        caller.connect(obs.address)
    assert secret not in str(caught.value)
    assert secret not in caplog.text
    assert [record for record in caplog.records if record.name.startswith("obsws_python")] == []


def test_a_config_toml_in_the_working_directory_changes_nothing(
    caller: Caller, tmp_path: Path
) -> None:
    """Catches the library's habit of reading one where host, port and password are left out."""
    wrong = f'[connection]\nhost = "127.0.0.1"\nport = {free_port()}\npassword = "x"\n'
    (tmp_path / "config.toml").write_text(wrong, "utf-8")
    with contextlib.chdir(tmp_path), FakeObs() as obs:
        assert caller.connect(obs.address).version.obs == "29.0.2"


class OtherServer(FakeObs):
    """A websocket server that is not OBS: says one thing and listens."""

    def __init__(self, hello: str) -> None:
        super().__init__()
        self._text = hello

    def hello(self) -> str:
        return self._text


def serve_page(listener: socket.socket) -> None:
    """Answer one connection as a web server does."""
    connection = listener.accept()[0]
    with connection:
        connection.recv(4096)
        page = b"<p>not OBS</p>" * 500
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(page) + page)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
