"""A desktop's portal on the session bus, which shares a node of PipeWire or refuses to.

    fake_portal.py NODE LOG [shares|refuses|waits|breaks]

Each method it is asked for, with its options, is a line of JSON in LOG. It knows the token "known".
A call to Revoke ends the sharing.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

from jeepney import DBusAddress, HeaderFields, MessageType, message_bus, new_method_return
from jeepney.io.blocking import DBusConnection, Proxy, open_dbus_connection
from jeepney.wrappers import new_signal

NAME, PATH = "org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop"
SIZE = (1280, 720)


class FakePortal:
    def __init__(self, node: int, log: Path, manner: str) -> None:
        self._node, self._log, self._manner = node, log, manner
        self._bus: DBusConnection = open_dbus_connection("SESSION", enable_fds=True)
        self._session, self._caller = "", ""
        Proxy(message_bus, self._bus).RequestName(NAME)
        self._note("ready", {})

    def serve(self) -> None:
        while True:
            message = self._bus.receive()
            if message.header.message_type is not MessageType.method_call:
                continue
            fields = message.header.fields
            method = fields[HeaderFields.member]
            self._caller = fields[HeaderFields.sender]
            options = message.body[-1] if message.body else {}
            self._note(method, {name: value for name, (_, value) in options.items()})
            if method == "OpenPipeWireRemote":
                self._bus.send(new_method_return(message, "h", (self._remote(),)))
            elif method == "Revoke":
                self._bus.send(new_method_return(message))
                session = DBusAddress(self._session, interface="org.freedesktop.portal.Session")
                self._bus.send(new_signal(session, "Closed"))
            else:
                self._answer(message, method, options)

    def _answer(self, message: Any, method: str, options: dict[str, Any]) -> None:
        sender = self._caller.lstrip(":").replace(".", "_")
        request = f"{PATH}/request/{sender}/{options['handle_token'][1]}"
        self._bus.send(new_method_return(message, "o", (request,)))
        code, results = 0, {}
        if method == "CreateSession":
            self._session = f"{PATH}/session/{sender}/{options['session_handle_token'][1]}"
            results = {"session_handle": ("s", self._session)}
        elif method == "Start":
            if self._manner == "waits":
                return
            code = {"shares": 0, "refuses": 1, "breaks": 2}[self._manner]
            properties = {"size": ("(ii)", SIZE), "source_type": ("u", 1)}
            results = {
                "streams": ("a(ua{sv})", [(self._node, properties)]),
                "restore_token": ("s", "known"),
            }
        emitter = DBusAddress(request, interface="org.freedesktop.portal.Request")
        self._bus.send(new_signal(emitter, "Response", "ua{sv}", (code, results)))

    def _remote(self) -> socket.socket:
        """What a real portal gives: a connection to PipeWire that may see what is shared."""
        client = socket.socket(socket.AF_UNIX)
        client.connect(os.path.join(os.environ["XDG_RUNTIME_DIR"], "pipewire-0"))
        return client

    def _note(self, method: str, options: dict[str, Any]) -> None:
        with self._log.open("a") as log:
            log.write(json.dumps([method, options]) + "\n")


if __name__ == "__main__":
    FakePortal(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]).serve()
