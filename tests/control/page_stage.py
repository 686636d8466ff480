"""A served controller and what a hand does on its page, for the tests in a real browser."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from browser import PATIENCE_S, Browser, Tab
from control_fakes import FakeController

from liveedit_cam.control.app import create_app
from liveedit_cam.control.history import History
from liveedit_cam.control.server import ControlServer, bind
from liveedit_cam.control.state import DaemonAddress
from liveedit_cam.types import Frame

RED, BLUE = (220, 20, 20), (20, 20, 220)
COLOUR = """(() => {
  const canvas = document.getElementById("picture");
  if (!canvas || !document.getElementById("no-picture").hidden) return null;
  const x = Math.floor(%s * canvas.width), y = Math.floor(0.5 * canvas.height);
  return Array.from(canvas.getContext("2d").getImageData(x, y, 1, 1).data.slice(0, 3));
})()"""
PLACES = {"source": 0.25, "edited": 0.75}
"""Where each side is seen while the divider is in the middle, as shares of the width."""


def frame(edited: tuple[int, int, int], source: tuple[int, int, int] | None) -> Frame:
    def flat(colour: tuple[int, int, int]) -> np.ndarray:
        return np.broadcast_to(np.array(colour, np.uint8), (36, 64, 3)).copy()

    return Frame(flat(edited), 0, 0.0, revision=1, source=None if source is None else flat(source))


@dataclass
class Daemon:
    """A served controller."""

    token: str

    def __post_init__(self) -> None:
        self.controller = FakeController(frame=frame(RED, BLUE))
        self.history = History()
        app = create_app(self.controller, self.token, lambda: None, history=self.history)
        self.server = ControlServer(app, bind(0))
        self.server.start()
        self.address = DaemonAddress(1, self.server.port, self.token)


def wait_for_colour(tab: Tab, side: str, colour: tuple[int, int, int]) -> None:
    shown = COLOUR % PLACES[side]
    tab.wait_for(f"{shown}?.every((value, at) => Math.abs(value - {list(colour)}[at]) < 12)")


def wait_for_text(tab: Tab, name: str, text: str) -> None:
    tab.wait_for(f"document.getElementById('{name}')?.textContent.includes({json.dumps(text)})")


def wait_until(is_so: Callable[[], object]) -> None:
    """For what the page asks of the daemon by itself."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < give_up_at, "the page did not ask"
        time.sleep(0.05)


def click(tab: Tab, selector: str) -> None:
    """Waits until it is there, as a hand does: looks and lists come after the first status."""
    element = f"document.querySelector({json.dumps(selector)})"
    tab.wait_for(f"Boolean({element})")
    tab.run(f"{element}.click()")


def pick(tab: Tab, selector: str, value: str) -> None:
    """An entry of a list, or a tick in a box."""
    name = json.dumps(selector)
    tab.run(
        f"(() => {{ const one = document.querySelector({name}); one.value = {json.dumps(value)};"
        " one.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )


def press(tab: Tab, key: str) -> None:
    text = {"text": key} if len(key) == 1 else {}
    tab.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
    tab.call("Input.dispatchKeyEvent", type="keyUp", key=key)


def drag(tab: Tab, start: tuple[float, float], end: tuple[float, float]) -> None:
    """With the mouse over the picture, from and to shares of its width and height."""
    left, top, width, height = tab.run(
        "(() => { const box = document.getElementById('stage').getBoundingClientRect();"
        " return [box.left, box.top, box.width, box.height]; })()"
    )
    steps = [("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)]
    for kind, (x, y) in steps:
        at = {"x": left + x * width, "y": top + y * height}
        tab.call("Input.dispatchMouseEvent", type=kind, button="left", buttons=1, **at)


def opened(browser: Browser, daemon: Daemon) -> Tab:
    """The page with its first picture, in front: a tab behind another one asks for nothing."""
    tab = browser.open(daemon.address.page_url)
    tab.call("Page.bringToFront")
    wait_for_colour(tab, "edited", RED)
    return tab
