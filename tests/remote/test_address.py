"""Where a model server is, and what may not stand in its address."""

from __future__ import annotations

import pytest

from liveedit_cam.errors import UsageError
from liveedit_cam.remote.address import ServerAddress, parse_address


@pytest.mark.parametrize(
    ("target", "address", "url"),
    [
        ("wss://gpu.lan:8650", ServerAddress("gpu.lan", 8650, True), "wss://gpu.lan:8650/"),
        ("wss://gpu.lan/liveedit-1.3b", ServerAddress("gpu.lan", 443, True, "liveedit-1.3b"),
         "wss://gpu.lan:443/"),
        ("ws://localhost:8650", ServerAddress("localhost", 8650, False), "ws://localhost:8650/"),
        ("ws://[::1]:1", ServerAddress("::1", 1, False), "ws://[::1]:1/"),
    ],
)  # fmt: skip
def test_an_address_is_read(target: str, address: ServerAddress, url: str) -> None:
    """Catches a lost port or model, and an IPv6 number without its brackets."""
    assert parse_address(target) == address
    assert address.url == url


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("", "expected ws"),
        ("gpu.lan:8650", "expected ws"),
        ("https://gpu.lan", "expected ws"),
        ("wss://", "expected ws"),
        ("wss://gpu.lan:port", "port"),
        ("wss://gpu.lan:99999", "port|range"),
        ("ws://gpu.lan:8650", "expected wss"),
        ("ws://127.0.0.1.evil.example:1", "expected wss"),
        ("wss://me:secret@gpu.lan", "REMOTE_TOKEN"),
        ("wss://gpu.lan/?token=secret", "REMOTE_TOKEN"),
    ],
)
def test_what_cannot_be_one_is_refused(target: str, says: str) -> None:
    """Catches pictures that would travel readable, and a secret that would be shown."""
    with pytest.raises(UsageError, match=says) as caught:
        parse_address(target)
    assert "secret" not in str(caught.value)
