"""The page in a real browser over a whole run: what a click does to its picture and the sink's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from browser import PROGRAM, Browser, Tab
from page_stage import COLOUR, click, pick, wait_for_text, wait_until

from liveedit_cam.commands.adapter import Adapted
from liveedit_cam.config import Config
from liveedit_cam.control.app import create_app
from liveedit_cam.control.server import ControlServer, bind
from liveedit_cam.control.state import DaemonAddress
from liveedit_cam.daemon.service import Service
from liveedit_cam.presets import PresetBook
from liveedit_cam.protocols import Sink
from liveedit_cam.registry import open_sink
from liveedit_cam.sinks.memory import Memory
from liveedit_cam.sources.pattern import Pattern
from liveedit_cam.types import Choice, Frame

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium: apt install chromium"),
    pytest.mark.slow,
]

MARK = 7
"""What the scripted editor adds to every pixel."""
TOP, LEFT, RIGHT = 120, 40, 160
"""Levels of the camera's square picture: its upper quarter, and the halves below."""
BRIGHT = 80
"""Added by the other camera."""


class Camera(Pattern):
    """A square picture of three levels."""

    def __init__(self, spec: str) -> None:
        super().__init__(width=64, height=64)
        self.name = spec
        self._pixels = np.full((64, 64, 3), LEFT, np.uint8)
        self._pixels[:, 32:] = RIGHT
        self._pixels[:16] = TOP
        if spec.endswith("bright"):
            self._pixels += BRIGHT

    def read(self) -> Frame:
        frame = super().read()
        return Frame(self._pixels, frame.index, frame.captured_at)


class Show:
    """A run whose sink is twice as wide as high, and its page, in front."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self.sink = Memory(128, 64, 30.0)
        config = Config.model_validate(
            {
                "source": "camera:dark",
                "sinks": ["memory"],
                "prompt": "mark",
                "model": str(folder / "memory"),
                "width": 128,
                "height": 64,
                "record_folder": folder,
            }
        )
        self.service = Service(
            config,
            editor="scripted_editors:create",
            open_source=lambda spec, **options: Camera(spec),
            open_sink=self._open_sink,
        )
        self.service.start()
        adapted = Adapted(self.service.controller, "", PresetBook(folder / "presets.toml"))
        adapted.choices = lambda: {
            Choice.SOURCE: [("camera:bright", "the other one")],
            Choice.SINK: [("memory", "this one")],
            Choice.MODEL: [("nano", "small")],
        }
        self.server = ControlServer(create_app(adapted, "t", lambda: None), bind(0))
        self.server.start()
        self.tab: Tab = browser.open(DaemonAddress(1, self.server.port, "t").page_url)
        self.tab.call("Page.bringToFront")
        click(self.tab, "#compare")  # the edited picture on both sides

    def _open_sink(self, spec: str, **options: Any) -> Sink:
        return open_sink(spec, **options) if spec.startswith("file:") else self.sink

    def close(self) -> None:
        self.server.stop()
        self.service.stop()

    def sink_level(self, x: float, y: float) -> int:
        if not self.sink.frames:
            return -1
        pixels = self.sink.frames[-1].pixels
        return int(pixels[int(y * 64), int(x * 128), 0])

    def wait_for(self, levels: dict[float, int], y: float = 0.5) -> None:
        """Until sink and page both have these levels at these shares of the width."""
        for x, level in levels.items():
            wait_until(lambda x=x, level=level: self.sink_level(x, y) == level)
            found = COLOUR.replace("0.5 *", f"{y} *") % x
            self.tab.wait_for(f"Math.abs(({found})?.[0] - {level}) < 4")


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Show]:
    started = Show(browser, tmp_path)
    yield started
    started.close()


def test_modes_fit_mirror_and_camera_change_page_and_sink(show: Show) -> None:
    """Issue 20: catches a control that tells of a change nobody sees, and a page with a picture
    of its own.
    """
    tab = show.tab
    show.wait_for({0.1: 0, 0.35: LEFT + MARK, 0.65: RIGHT + MARK, 0.9: 0})  # bars are not edited
    click(tab, "[data-mode=bypass]")
    show.wait_for({0.35: LEFT, 0.65: RIGHT})
    click(tab, "[data-mode=slate]")
    wait_until(lambda: {*np.unique(show.sink.frames[-1].pixels)} - {0, TOP, LEFT, RIGHT})
    show.wait_for({0.95: int(show.sink.frames[-1].pixels[32, 121, 0])})
    click(tab, "[data-mode=edit]")
    show.wait_for({0.35: LEFT + MARK})
    click(tab, "#mirrored")
    show.wait_for({0.35: RIGHT + MARK, 0.65: LEFT + MARK})
    click(tab, "#mirrored")
    click(tab, "[data-fit=stretch]")
    show.wait_for({0.1: TOP + MARK}, y=0.1)
    show.wait_for({0.1: LEFT + MARK, 0.9: RIGHT + MARK})
    click(tab, "[data-fit=crop]")
    show.wait_for({0.1: LEFT + MARK}, y=0.1)  # its upper quarter is cut off
    click(tab, "[data-fit=bars]")
    show.wait_for({0.1: 0})
    click(tab, "#open-choices")
    tab.wait_for("!document.getElementById('choices').hidden")
    pick(tab, "#choice-source", "camera:bright")
    click(tab, "#use")
    show.wait_for({0.35: LEFT + BRIGHT + MARK})


def test_exact_waits_for_each_pictures_own_edit(show: Show) -> None:
    """Catches a latency that is shown as pressed and not in force at the sink."""
    show.wait_for({0.35: LEFT + MARK})
    click(show.tab, "[data-latency=exact]")
    wait_until(lambda: (last := show.sink.frames[-1]).field_at == last.captured_at)
    click(show.tab, "[data-latency=live]")
    wait_until(lambda: show.service.controller.status().latency == "live")


def test_a_look_reaches_the_sink_and_a_recording_has_it(show: Show, tmp_path: Path) -> None:
    """Catches a tile or a record button that only changes itself."""
    tab = show.tab
    show.wait_for({0.35: LEFT + MARK})
    click(tab, "#record")
    wait_for_text(tab, "record", "stop")
    click(tab, "[data-look=night]")
    wait_until(lambda: show.sink.frames[-1].revision == 2)
    wait_for_text(tab, "shown", "make it night")
    num_written = show.sink.num_written
    wait_until(lambda: show.sink.num_written > num_written + 15)
    click(tab, "#record")
    wait_for_text(tab, "recorded", ".mp4")
    (path,) = tmp_path.glob("*.mp4")
    with av.open(str(path)) as container:
        titles = [one["metadata"]["title"] for one in container.chapters()]
        last = [one.to_ndarray(format="rgb24") for one in container.decode(video=0)][-1]
    assert titles[-1] == "make it night"
    assert abs(int(last[32, 45, 0]) - (LEFT + MARK)) < 6
