"""The server's port: who may listen without TLS, and whose certificate is believed."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from scripted_editors import ScriptedEditor
from serving import PATIENCE_S, SECRET

from liveedit_cam.control.connections import Limits
from liveedit_cam.errors import ControlError, UsageError
from liveedit_cam.remote.address import ServerAddress
from liveedit_cam.remote.link import LinkLost, connect
from liveedit_cam.service.host import SessionHost
from liveedit_cam.service.plain import CameraConnection, Listen, PlainServer
from liveedit_cam.service.scheduler import OneByOne
from liveedit_cam.service.tokens import Token


def make_certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out",
         certificate],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return certificate, key


def test_nothing_crosses_a_network_readable(tmp_path: Path) -> None:
    """Catches a server that listens to others without TLS because nobody thought of it."""
    with pytest.raises(UsageError, match="without a certificate"):
        Listen(host="0.0.0.0").check()
    with pytest.raises(UsageError, match="no file"):
        Listen(certificate=tmp_path / "missing.pem").check()
    Listen(host="0.0.0.0", has_tls_in_front=True).check()
    Listen(host="127.0.0.1").check()


def test_a_taken_port_is_told() -> None:
    """Catches a traceback of the socket module."""
    with Listen(port=0).bind() as taken, pytest.raises(ControlError, match="--port"):
        Listen(port=taken.getsockname()[1]).bind()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
def test_only_a_trusted_certificate_is_spoken_to(tmp_path: Path) -> None:
    """Catches TLS without a check of who is there, to whom the token would be sent."""
    certificate, key = make_certificate(tmp_path)
    host = SessionHost(
        OneByOne(lambda: ScriptedEditor(tmp_path / "memory", "served")), (Token("own", SECRET),), 2
    )
    server = PlainServer(host, Listen(port=0, certificate=certificate, key=key))
    server.start()
    try:
        address = ServerAddress("localhost", server.port, True)
        with pytest.raises(LinkLost, match="not trusted"):
            connect(address, SECRET, timeout_s=PATIENCE_S)
        link = connect(address, SECRET, certificate, timeout_s=PATIENCE_S)
        assert link.welcome.model == "scripted"
        link.end(LinkLost("the test is over"))
        other = ServerAddress("127.0.0.1", server.port, True)
        with pytest.raises(LinkLost, match="not trusted"):
            connect(other, SECRET, certificate, timeout_s=PATIENCE_S)
        plain = ServerAddress("localhost", server.port, False)
        with pytest.raises(LinkLost):
            connect(plain, SECRET, timeout_s=PATIENCE_S)
    finally:
        server.stop()
        host.close()


def test_half_a_request_holds_no_place_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a server of models that waits without end for whoever says nothing."""
    monkeypatch.setattr(CameraConnection, "limits", Limits(header_timeout_s=0.2))
    host = SessionHost(
        OneByOne(lambda: ScriptedEditor(tmp_path / "memory", "served")), (Token("own", SECRET),), 2
    )
    server = PlainServer(host, Listen(port=0))
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as silent:
            silent.sendall(b"GET /healthz HTTP/1.1\r\n")
            assert silent.recv(1) == b""
    finally:
        server.stop()
        host.close()
