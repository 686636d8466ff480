"""A headless Chromium, driven over its DevTools socket: opens pages and runs JavaScript in them."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import websocket

PROGRAM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
PATIENCE_S = 30.0


class Tab:
    """One page."""

    def __init__(self, socket_url: str) -> None:
        self._socket = websocket.create_connection(
            socket_url, timeout=PATIENCE_S, suppress_origin=True
        )
        self._numbers = itertools.count(1)
        self.call("Page.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self._socket.recv())).get("id") != number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited."""
        wanted = {"expression": script, "awaitPromise": True, "returnByValue": True}
        result = self.call("Runtime.evaluate", **wanted)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """The first true value of the expression."""
        give_up_at = time.monotonic() + PATIENCE_S
        while not (value := self.run(script)):
            assert time.monotonic() < give_up_at, f"never true: {script}"
            time.sleep(0.05)
        return value

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def close(self) -> None:
        self._socket.close()


class Browser:
    """One browser with a profile of its own."""

    def __init__(self, profile: Path) -> None:
        assert PROGRAM is not None
        self._process = subprocess.Popen(
            [
                PROGRAM,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--remote-debugging-port=0",
                "--remote-allow-origins=*",
                "--window-size=1240,1000",
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._port = self._find_port(profile / "DevToolsActivePort")
        self._tabs: list[Tab] = []

    def _find_port(self, path: Path) -> int:
        give_up_at = time.monotonic() + PATIENCE_S
        while not path.exists() or not path.read_text():
            assert time.monotonic() < give_up_at, "the browser did not start"
            time.sleep(0.05)
        return int(path.read_text().split()[0])

    def open(self, url: str) -> Tab:
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}/json/new", method="PUT")
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            tab = Tab(json.load(answer)["webSocketDebuggerUrl"])
        self._tabs.append(tab)
        tab.call("Page.navigate", url=url)
        tab.wait_for("document.readyState === 'complete'")
        return tab

    def close(self) -> None:
        for tab in self._tabs:
            tab.close()
        self._process.terminate()
        self._process.wait(PATIENCE_S)
