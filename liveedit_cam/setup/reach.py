"""Checks of what this computer's own network reaches: OBS, the port of the control page."""

from __future__ import annotations

from collections.abc import Iterator

from liveedit_cam.control.server import bind
from liveedit_cam.control.state import read_address, runtime_path
from liveedit_cam.errors import ControlError, LiveEditError
from liveedit_cam.obs.link import connect
from liveedit_cam.obs.session import find_address, is_wanted, rules_path
from liveedit_cam.setup.computer import Computer
from liveedit_cam.setup.findings import Finding, Fix, fail, ok, warn

OBS, PAGE = "OBS", "control page"
_OBS_S = 3.0
"""Longest wait for OBS."""


def obs(computer: Computer) -> Iterator[Finding]:
    """Whether OBS answers, where it is to change the instruction."""
    config = computer.config
    rules = rules_path(config, computer.environ)
    if not is_wanted(config, rules):
        yield ok(OBS, f"not asked to change the instruction (no {rules})")
        return
    address, password = find_address(config, computer.environ)
    try:
        link = connect(address, timeout_s=_OBS_S)
    except LiveEditError as error:
        look = Fix("liveedit-cam obs status", is_certain=False)
        yield warn(OBS, f"{error} (password: {password.origin})", look)
        return
    try:
        yield ok(OBS, f"answers at {address}, obs-websocket {link.version.websocket}")
    finally:
        link.close()


def page(computer: Computer) -> Iterator[Finding]:
    """Whether the page answers, or its port is free."""
    port = computer.config.port
    if computer.daemon is not None:
        address = read_address(runtime_path(computer.environ))
        where = f" on port {address.port}" if address is not None else ""
        yield ok(PAGE, f"answers{where}; liveedit-cam status prints its address")
        return
    try:
        bind(port).close()
    except ControlError:
        look = f"ss -ltnp 'sport = :{port}'" if computer.system == "linux" else "netstat -an"
        other = Fix(f"liveedit-cam run --port {port + 10 if port < 65_000 else 0}", False)
        text = f"another program has port {port} of 127.0.0.1"
        yield fail(PAGE, text, Fix(look, is_certain=False), other)
        return
    yield ok(PAGE, f"port {port} is free" if port else "takes any free port")
