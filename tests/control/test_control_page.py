"""The page in a real browser: where its secret is, what it shows, and two of them at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from browser import PROGRAM, Browser, Tab
from control_fakes import FakeController

from liveedit_cam.control.app import create_app
from liveedit_cam.control.server import ControlServer, bind
from liveedit_cam.control.state import DaemonAddress
from liveedit_cam.types import Frame, Mode

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Chromium: apt install chromium")

RED, BLUE = (220, 20, 20), (20, 20, 220)
COLOUR = """(() => {
  const image = document.getElementById("%s"), canvas = document.createElement("canvas");
  if (!image?.naturalWidth) return null;
  canvas.width = canvas.height = 1;
  canvas.getContext("2d").drawImage(image, 0, 0, 1, 1);
  return Array.from(canvas.getContext("2d").getImageData(0, 0, 1, 1).data.slice(0, 3));
})()"""


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
        app = create_app(self.controller, self.token, lambda: None)
        self.server = ControlServer(app, bind(0))
        self.server.start()
        self.address = DaemonAddress(1, self.server.port, self.token)


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    served = Daemon("the-token")
    yield served
    served.server.stop()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    started = Browser(tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


def wait_for_colour(tab: Tab, side: str, colour: tuple[int, int, int]) -> None:
    near = f"{COLOUR % side}?.every((value, at) => Math.abs(value - {list(colour)}[at]) < 12)"
    tab.wait_for(near)


def test_the_page_shows_both_pictures_and_keeps_its_secret(
    browser: Browser, daemon: Daemon
) -> None:
    """Issue 15: a token in a cookie or in the address bar; and pictures that need it there."""
    tab = browser.open(daemon.address.page_url)
    wait_for_colour(tab, "source", BLUE)
    wait_for_colour(tab, "edited", RED)
    assert tab.run("document.cookie") == ""
    assert tab.run("location.href") == f"http://127.0.0.1:{daemon.server.port}/"
    asked = tab.run("performance.getEntriesByType('resource').map((one) => one.name)")
    assert asked
    assert "the-token" not in json.dumps(asked)
    daemon.controller.frame = frame(BLUE, None)
    wait_for_colour(tab, "source", BLUE)
    wait_for_colour(tab, "edited", BLUE)


def test_a_reload_finds_the_secret_again(browser: Browser, daemon: Daemon) -> None:
    """Catches a page that is dead after F5, its address being without the token."""
    tab = browser.open(daemon.address.page_url)
    wait_for_colour(tab, "edited", RED)
    tab.call("Page.reload")
    wait_for_colour(tab, "edited", RED)


def test_a_bookmark_opens_the_page_again(browser: Browser, daemon: Daemon) -> None:
    """Issue 20: the bookmarked address has no token, and the tab that had it is long closed."""
    wait_for_colour(browser.open(daemon.address.page_url), "edited", RED)
    bookmark = f"http://127.0.0.1:{daemon.server.port}/"
    wait_for_colour(browser.open(bookmark), "edited", RED)


def test_an_old_token_is_told_how_to_get_the_new_address(browser: Browser, daemon: Daemon) -> None:
    """Issue 20: after `page --new-token` a bookmark must say what to do, not only "wrong"."""
    tab = browser.open(daemon.address.page_url)
    wait_for_colour(tab, "edited", RED)
    tab.run("call('/api/token', {})")
    tab.wait_for("document.getElementById('error').textContent.includes('liveedit-cam page')")


def test_two_daemons_live_in_one_browser(browser: Browser, daemon: Daemon) -> None:
    """Issue 15: page A was refused as soon as B was opened; also after a reload."""
    other = Daemon("another-token")
    first, second = (browser.open(one.address.page_url) for one in (daemon, other))
    wait_for_colour(second, "edited", RED)
    first.call("Page.bringToFront")  # a tab behind another one asks for nothing
    first.call("Page.reload")
    wait_for_colour(first, "edited", RED)
    daemon.controller.frame = frame(BLUE, None)
    wait_for_colour(first, "edited", BLUE)
    second.call("Page.bringToFront")
    second.call("Page.reload")
    wait_for_colour(second, "edited", RED)
    other.server.stop()


def test_a_new_address_in_the_tab_of_an_old_run_is_taken(browser: Browser, daemon: Daemon) -> None:
    """Catches a restarted daemon whose new address only changes the fragment: nothing reloads."""
    url = daemon.address.page_url
    tab = browser.open(url.replace("the-token", "an-old-one"))
    tab.wait_for("document.getElementById('error').textContent.includes('token is missing or')")
    tab.run(f"location.href = '{url}'")
    wait_for_colour(tab, "edited", RED)


def test_without_a_secret_the_page_says_where_it_is(browser: Browser, daemon: Daemon) -> None:
    """Catches an empty page for who typed the address by hand."""
    tab = browser.open(f"http://127.0.0.1:{daemon.server.port}/")
    tab.wait_for("document.getElementById('error').textContent.includes('liveedit-cam page')")


def test_the_key_of_the_pictures_opens_the_pictures_only(browser: Browser, daemon: Daemon) -> None:
    """Catches a source in OBS that shows buttons, and one whose address could end the camera."""
    tab = browser.open(daemon.address.pictures_url)
    wait_for_colour(tab, "edited", RED)
    assert tab.run("document.getElementById('modes').checkVisibility()") is False
    refusal = tab.run("call('/api/mode', {mode: 'bypass'}).catch((error) => error.message)")
    assert refusal.startswith("the token is missing or wrong")
    assert daemon.controller.found.mode is Mode.EDIT


def test_the_buttons_reach_the_controller(browser: Browser, daemon: Daemon) -> None:
    """Catches a command without its header, and a refusal that is not shown."""
    tab = browser.open(daemon.address.page_url)
    tab.wait_for("document.getElementById('state').textContent === 'live'")
    tab.run("document.querySelector('[data-mode=slate]').click()")
    tab.wait_for("document.querySelector('[data-mode=slate]').ariaPressed === 'true'")
    assert daemon.controller.found.mode is Mode.SLATE
    tab.run("instruct('refuse me')")
    tab.wait_for(
        "document.getElementById('error').textContent.startsWith('Got a prompt to refuse')"
    )
    tab.run("instruct('make it night')")
    tab.wait_for("document.getElementById('error').hidden")
    assert daemon.controller.instructions[0].origin == "web"


class _Snoop(BaseHTTPRequestHandler):
    """Another user's server on this computer."""

    def do_GET(self) -> None:
        self.server.headers.append(str(self.headers))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Keep the test output clean."""


def test_another_port_of_this_computer_learns_nothing(browser: Browser, daemon: Daemon) -> None:
    """Issue 15: a cookie of 127.0.0.1 goes to every port, also to that of another user."""
    wait_for_colour(browser.open(daemon.address.page_url), "edited", RED)
    with HTTPServer(("127.0.0.1", 0), _Snoop) as server:
        server.headers = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        browser.open(f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()
        thread.join()
    assert server.headers  # type: ignore[attr-defined]
    assert all("the-token" not in one and "Cookie" not in one for one in server.headers)  # type: ignore[attr-defined]


def test_the_policy_lets_the_page_work(browser: Browser, daemon: Daemon) -> None:
    """Catches a page whose own style or script the browser refuses."""
    tab = browser.open(daemon.address.page_url)
    wait_for_colour(tab, "edited", RED)
    assert tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(16, 18, 22)"
