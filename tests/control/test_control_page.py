"""The page in a real browser: where its secret is, what it shows, and two of them at once."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from browser import PROGRAM, Browser
from page_stage import (
    BLUE,
    COLOUR,
    RED,
    Daemon,
    click,
    drag,
    frame,
    opened,
    pick,
    press,
    wait_for_colour,
    wait_for_text,
    wait_until,
)

from liveedit_cam.control.client import ControlClient
from liveedit_cam.presets import Preset, PresetBook
from liveedit_cam.types import Choice, Fit, LatencyMode, Mode

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Chromium: apt install chromium")

AXE = os.environ.get("AXE")


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
    tab = opened(browser, daemon)
    ControlClient(daemon.address).renew_token()
    tab.call("Page.reload")
    wait_for_text(tab, "error", "liveedit-cam page")


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
    wait_for_text(tab, "error", "token is missing or")
    tab.run(f"location.href = '{url}'")
    wait_for_colour(tab, "edited", RED)


def test_without_a_secret_the_page_says_where_it_is(browser: Browser, daemon: Daemon) -> None:
    """Catches an empty page for who typed the address by hand."""
    tab = browser.open(f"http://127.0.0.1:{daemon.server.port}/")
    wait_for_text(tab, "error", "liveedit-cam page")


def test_the_key_of_the_pictures_opens_the_pictures_only(browser: Browser, daemon: Daemon) -> None:
    """Catches a source in OBS that shows buttons, and one whose address could end the camera."""
    tab = browser.open(daemon.address.pictures_url)
    wait_for_colour(tab, "edited", RED)
    assert tab.run("document.getElementById('modes').checkVisibility()") is False
    refusal = tab.run(
        "import('/page/link.js').then(({call}) => call('/api/mode', {mode: 'bypass'}))"
        ".catch((error) => error.message)"
    )
    assert refusal.startswith("the token is missing or wrong")
    assert daemon.controller.found.mode is Mode.EDIT


def test_modes_and_latency_reach_the_controller(browser: Browser, daemon: Daemon) -> None:
    """Catches a command without its header, and a switch that does not show what is in force."""
    tab = opened(browser, daemon)
    wait_for_text(tab, "state", "live")
    click(tab, "[data-mode=slate]")
    tab.wait_for("document.querySelector('[data-mode=slate]').ariaPressed === 'true'")
    assert daemon.controller.found.mode is Mode.SLATE
    click(tab, "[data-latency=exact]")
    tab.wait_for("document.querySelector('[data-latency=exact]').ariaPressed === 'true'")
    assert daemon.controller.found.latency is LatencyMode.EXACT


def test_an_instruction_is_given_and_a_refusal_is_told(browser: Browser, daemon: Daemon) -> None:
    """Catches a refusal that is not shown, and one that stays after a good instruction."""
    tab = opened(browser, daemon)
    tab.run("document.getElementById('prompt').focus()")
    tab.call("Input.insertText", text="refuse me")
    press(tab, "Enter")
    click(tab, "#edit")
    wait_for_text(tab, "error", "Got a prompt to refuse")
    tab.run("document.getElementById('prompt').select()")
    tab.call("Input.insertText", text="make it night")
    click(tab, "#edit")
    wait_until(lambda: daemon.controller.instructions)
    tab.wait_for("document.getElementById('error').hidden")
    assert daemon.controller.instructions[-1].prompt == "make it night"
    assert daemon.controller.instructions[-1].origin == "web"
    wait_for_text(tab, "shown", "make it night")


def test_the_arrow_brings_back_what_was_written(browser: Browser, daemon: Daemon) -> None:
    """Catches a history that is empty, in the wrong order, or that loses what is being typed."""
    tab = opened(browser, daemon)
    tab.run("document.getElementById('prompt').focus()")
    for text in ("make it night", "golden light"):
        tab.run("document.getElementById('prompt').select()")
        tab.call("Input.insertText", text=text)
        click(tab, "#edit")
    tab.run("document.getElementById('prompt').select()")
    tab.call("Input.insertText", text="half of a")
    seen = []
    for key in ("ArrowUp", "ArrowUp", "ArrowDown", "ArrowDown"):
        press(tab, key)
        seen.append(tab.run("document.getElementById('prompt').value"))
    assert seen == ["golden light", "make it night", "golden light", "half of a"]


def test_what_is_not_understood_is_struck_through_while_typing(
    browser: Browser, daemon: Daemon
) -> None:
    """Issue 20: people learn what the model lacks before they send it; nothing is edited by it."""
    tab = opened(browser, daemon)
    tab.run("document.getElementById('prompt').focus()")
    tab.call("Input.insertText", text="a Galaxy, and a galaxyish night")
    tab.call("Input.insertText", text=" galaxy")
    struck = "[...document.querySelectorAll('#mirror s')].map((one) => one.textContent)"
    tab.wait_for(f"{struck}.length === 2")
    assert tab.run(struck) == ["Galaxy", "galaxy"]
    assert tab.run("document.getElementById('mirror').textContent") == (
        "a Galaxy, and a galaxyish night galaxy"
    )
    wait_for_text(tab, "understood", "not understood: galaxy")
    assert daemon.controller.instructions == []


def test_the_divider_moves_by_mouse_and_keys(browser: Browser, daemon: Daemon) -> None:
    """Catches a divider that only looks like one: the picture under it must change."""
    tab = opened(browser, daemon)
    wait_for_colour(tab, "source", BLUE)
    drag(tab, (0.5, 0.5), (0.9, 0.5))
    wait_for_colour(tab, "edited", BLUE)
    tab.run("document.getElementById('split').focus()")
    press(tab, "Home")
    wait_for_colour(tab, "source", RED)
    click(tab, "#compare")
    assert tab.run("document.getElementById('split').hidden")
    wait_for_colour(tab, "source", RED)


def test_a_region_is_drawn_with_the_mouse(browser: Browser, daemon: Daemon) -> None:
    """Catches a rectangle in pixels of the page, and one that cannot be taken back."""
    tab = opened(browser, daemon)
    wait_for_text(tab, "shown", "make it night")
    click(tab, "#region")
    drag(tab, (0.75, 0.8), (0.25, 0.2))
    wait_until(lambda: daemon.controller.instructions)
    (given,) = daemon.controller.instructions
    assert given.region is not None
    found = (given.region.x, given.region.y, given.region.width, given.region.height)
    assert np.allclose(found, (0.25, 0.2, 0.5, 0.6), atol=0.01)
    assert given.prompt == "make it night"
    tab.wait_for("!document.getElementById('whole').hidden")
    click(tab, "#whole")
    wait_until(lambda: len(daemon.controller.instructions) == 2)
    assert daemon.controller.instructions[1].region is None


def test_what_changes_is_coloured(browser: Browser, daemon: Daemon) -> None:
    """Catches an overlay that colours what nobody edited, or nothing at all."""
    tab = opened(browser, daemon)
    pick(tab, "#overlay", "change")
    tab.wait_for(f"({COLOUR % 0.75})?.every((v, at) => v > [200, 100, 10][at])")
    daemon.controller.frame = frame(RED, RED)
    tab.wait_for(f"({COLOUR % 0.75})?.every((value) => value < 60)")


def test_the_maps_of_field_and_cache_are_drawn(browser: Browser, daemon: Daemon) -> None:
    """Issue 20: what is recomputed and what is changed; catches rows and columns exchanged."""
    left_half = ("10", "10", "10")
    daemon.controller.found = replace(
        daemon.controller.found, recomputed=left_half, field_map=("09", "09", "09")
    )
    daemon.controller.frame = frame(RED, RED)
    tab = opened(browser, daemon)
    orange = "?.every((v, at) => v > [150, 60, 0][at] && v < [256, 140, 40][at])"
    dark = "?.every((v, at) => v < [120, 40, 40][at])"
    pick(tab, "#overlay", "field")
    tab.wait_for(f"({COLOUR % 0.75}){orange}")
    click(tab, "#compare")
    tab.wait_for(f"({COLOUR % 0.25}){dark}")
    pick(tab, "#overlay", "cache")
    tab.wait_for(f"({COLOUR % 0.25}){orange}")
    tab.wait_for(f"({COLOUR % 0.75}){dark}")
    daemon.controller.found = replace(daemon.controller.found, recomputed=None)  # everything
    tab.wait_for(f"({COLOUR % 0.75}){orange}")


def test_a_recording_is_begun_and_ended(browser: Browser, daemon: Daemon) -> None:
    """Catches a button that does not show what is so, or a file nobody can find."""
    tab = opened(browser, daemon)
    click(tab, "#with-source")
    click(tab, "#record")
    tab.wait_for("document.getElementById('record').ariaPressed === 'true'")
    assert daemon.controller.recordings == [(Path("/videos/show.mp4"), True, False, None)]
    daemon.controller.found = replace(daemon.controller.found, recorded_s=75.4)
    wait_for_text(tab, "record", "stop, 1:15")
    click(tab, "#record")
    wait_for_text(tab, "recorded", "/videos/show.mp4")
    tab.wait_for("document.getElementById('record').ariaPressed === 'false'")


def test_fit_mirror_and_steps_are_set(browser: Browser, daemon: Daemon) -> None:
    """Catches a control that shows a wish instead of what is in force."""
    tab = opened(browser, daemon)
    click(tab, "[data-fit=crop]")
    tab.wait_for("document.querySelector('[data-fit=crop]').ariaPressed === 'true'")
    click(tab, "#mirrored")
    wait_until(lambda: daemon.controller.found.mirror)
    assert daemon.controller.found.fit is Fit.CROP
    pick(tab, "#steps", "2")
    wait_until(lambda: daemon.controller.chosen == [(Choice.STEPS, "2", False)])


def test_a_choice_is_tried_before_it_is_taken(browser: Browser, daemon: Daemon) -> None:
    """Issue 20: catches a trial that takes, and a camera that is gone without a word."""
    tab = opened(browser, daemon)
    click(tab, "#open-choices")
    tab.wait_for("!document.getElementById('choices').hidden")
    click(tab, "#validate")
    wait_for_text(tab, "choice-said", "Nothing is chosen")
    pick(tab, "#choice-source", "camera:9")
    click(tab, "#validate")
    wait_for_text(tab, "choice-said", "There is no camera 9. Plug it in.")
    pick(tab, "#choice-source", "camera:0")
    click(tab, "#validate")
    wait_for_text(tab, "choice-said", "works: camera:0, tried")
    click(tab, "#use")
    wait_for_text(tab, "choice-said", "in use: camera:0, tried")
    source = Choice.SOURCE
    assert daemon.controller.chosen == [(source, "camera:0", True), (source, "camera:0", False)]


def test_the_strength_is_changed_once_let_go(browser: Browser, daemon: Daemon) -> None:
    """Catches a slider that sends every step, or that forgets the instruction it is about."""
    tab = opened(browser, daemon)
    wait_for_text(tab, "shown", "make it night")
    tab.run(
        "(() => { const slider = document.getElementById('strength');"
        " for (const value of [90, 70, 50]) { slider.value = value;"
        " slider.dispatchEvent(new Event('input')); }"
        " slider.dispatchEvent(new Event('change')); })()"
    )
    wait_until(lambda: daemon.controller.instructions)
    (given,) = daemon.controller.instructions
    assert (given.prompt, given.strength) == ("make it night", 0.5)


def test_a_look_is_applied_by_click_and_by_its_key(browser: Browser, daemon: Daemon) -> None:
    """Catches a tile that does nothing, and keys that act while somebody is typing."""
    tab = opened(browser, daemon)
    tab.wait_for("document.querySelectorAll('#looks [data-look]').length === 8")
    assert tab.wait_for("document.querySelector('#looks img').naturalWidth") == 240
    click(tab, "[data-look='golden hour']")
    tab.wait_for("document.querySelector('[data-look=\\'golden hour\\']').ariaPressed === 'true'")
    assert daemon.controller.instructions[-1].transition_s == 0.5  # it is pressed as it is given
    tab.run("document.activeElement.blur()")
    press(tab, "4")
    wait_for_text(tab, "shown", "make it black and white")
    tab.run("document.getElementById('prompt').focus()")
    press(tab, "6")
    assert tab.run("document.getElementById('prompt').value") == "6"
    assert daemon.controller.instructions[-1].prompt == "make it black and white"


def test_a_look_is_saved_and_taken_away(browser: Browser, daemon: Daemon, tmp_path: Path) -> None:
    """Catches a saved look without its strength, a refused name without a word, a dead Delete."""
    daemon.controller.presets = PresetBook(tmp_path / "presets.toml")
    daemon.controller.found = replace(daemon.controller.found, strength=0.5)
    tab = opened(browser, daemon)
    tab.wait_for("document.getElementById('strength').value === '50'")
    click(tab, "#add-look")
    tab.run("document.getElementById('save-name').value = 'my night'")
    tab.run("document.getElementById('save-key').value = 'q'")
    click(tab, "#save")
    tab.wait_for("!!document.querySelector('[data-look=\\'my night\\']')")
    found = daemon.controller.presets.find("my night")
    assert found == Preset("my night", "make it night", 0.5, transition_s=0.5, hotkey="q")
    tab.run("window.confirm = () => true")
    tab.run("document.querySelector('[data-look=\\'my night\\']').focus()")
    press(tab, "Delete")
    tab.wait_for("!document.querySelector('[data-look=\\'my night\\']')")
    assert "my night" not in (tmp_path / "presets.toml").read_text()


def test_state_and_plots_are_shown(browser: Browser, daemon: Daemon) -> None:
    """Catches a fault without its fix, and plots that a policy or a missing file leaves empty."""
    daemon.controller.found = replace(daemon.controller.found, capture_fps=0.0, uptime_s=60.0)
    daemon.history.note(daemon.controller.found, time.monotonic())
    tab = opened(browser, daemon)
    wait_for_text(tab, "health", "no picture from pattern")
    wait_for_text(tab, "health", "Plug it in")
    wait_for_text(tab, "plots", "310 ms")
    tab.wait_for("document.querySelectorAll('#plots canvas').length === 4")


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_cut_off(browser: Browser, daemon: Daemon, width: int) -> None:
    """Issue 20: usable as a dock of 320 pixels and on a phone: no scrolling sideways."""
    tab = opened(browser, daemon)
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    tab.call("Emulation.setDeviceMetricsOverride", **size)
    tab.wait_for("document.querySelectorAll('#looks [data-look]').length === 8")
    tab.wait_for("document.documentElement.scrollWidth <= innerWidth")
    names = ("modes", "prompt", "edit", "looks", "strength", "health", "plots")
    for name in (*names, "overlay", "record", "fits", "steps", "open-choices"):
        box = f"document.getElementById('{name}').getBoundingClientRect()"
        assert tab.run(f"{box}.left >= 0 && {box}.right <= innerWidth"), name


def test_the_theme_follows_the_system_or_the_choice(browser: Browser, daemon: Daemon) -> None:
    """Catches a page that is dark in one of the two ways only."""
    tab = opened(browser, daemon)
    ground = "getComputedStyle(document.body).backgroundColor"
    for scheme, colour in (("light", "rgb(244, 242, 238)"), ("dark", "rgb(19, 18, 17)")):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        tab.call("Emulation.setEmulatedMedia", features=[feature])
        assert tab.run(ground) == colour
    click(tab, "#theme")
    assert tab.run(ground) == "rgb(244, 242, 238)"
    tab.call("Page.reload")
    tab.wait_for("document.readyState === 'complete'")
    assert tab.run(ground) == "rgb(244, 242, 238)"
    tab.run("localStorage.removeItem('theme')")


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


@pytest.mark.skipif(AXE is None, reason="no axe-core: npm install axe-core, AXE=.../axe.min.js")
@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize(
    ("scheme", "theme"), [("light", "auto"), ("dark", "auto"), ("dark", "light"), ("light", "dark")]
)
def test_axe_finds_nothing(
    browser: Browser, daemon: Daemon, scheme: str, theme: str, width: int
) -> None:
    """Issue 20: contrast, labels, names and order, as axe-core checks them; all parts are open."""
    daemon.controller.found = replace(
        daemon.controller.found, pending="golden light", last_error="The disk is full."
    )
    tab = opened(browser, daemon)
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    tab.call("Emulation.setDeviceMetricsOverride", **size)
    features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    wanted = [{"name": name, "value": value} for name, value in features.items()]
    tab.call("Emulation.setEmulatedMedia", features=wanted)  # no colour half-way to another
    tab.run(f"document.documentElement.dataset.theme = '{theme}'")
    tab.wait_for("document.querySelectorAll('#looks [data-look]').length === 8")
    click(tab, "#open-choices")
    tab.wait_for("!document.getElementById('choices').hidden")
    click(tab, "#region")
    click(tab, "#record")
    wait_for_text(tab, "record", "stop")
    assert AXE is not None
    tab.run(Path(AXE).read_text("utf-8") + "; 1")
    kinds = "axe.run().then(({violations}) => violations.map(({id, nodes}) => [id, nodes[0].html]))"
    assert tab.run(kinds) == []
    click(tab, "#add-look")
    tab.wait_for("document.getElementById('save-dialog').open")
    assert tab.run(kinds) == []


def test_the_page_asks_nobody_else(browser: Browser, daemon: Daemon) -> None:
    """Issue 20: no request to anywhere else; and a policy that refuses the page's own parts."""
    tab = opened(browser, daemon)
    tab.wait_for("document.querySelectorAll('#plots canvas').length === 4")
    asked = tab.run("performance.getEntriesByType('resource').map((one) => one.name)")
    ours = f"http://127.0.0.1:{daemon.server.port}/"
    assert [one for one in asked if not one.startswith((ours, "blob:"))] == []
    assert tab.run("getComputedStyle(document.getElementById('prompt')).caretColor") != "auto"
