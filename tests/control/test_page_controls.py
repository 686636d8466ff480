"""The page in a real browser: the controls, and what it does where something is missing."""

from __future__ import annotations

import time
from dataclasses import replace
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
    frame,
    opened,
    pick,
    press,
    wait_for_colour,
    wait_for_text,
    wait_until,
)

from liveedit_cam.presets import PresetBook
from liveedit_cam.types import Choice, Fit, LatencyMode, Mode, Region

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Chromium: apt install chromium")

TESTED = {
    *("modes", "theme", "split", "compare", "region", "whole", "overlay", "snapshot"),
    *("with-sound", "with-source", "record", "prompt", "edit", "looks", "strength", "latencies"),
    *("fits", "mirrored", "steps", "open-choices", "choice-source", "choice-sink", "choice-model"),
    *("validate", "use", "save-name", "save-key", "save-fade", "save-cancel", "save", "add-look"),
}
"""Controls a test in this folder drives; a group of buttons by the name of the group."""


def test_no_control_is_without_a_test(browser: Browser, daemon: Daemon) -> None:
    """Issue 20: catches a control that was added to the page and to no test."""
    tab = opened(browser, daemon)
    tab.wait_for("document.querySelectorAll('#looks [data-look]').length === 8")
    kinds = "button, input, select, [tabindex]"
    found = tab.run(
        f"[...document.querySelectorAll('{kinds}')].map((one) =>"
        " one.id || one.parentElement.id || one.outerHTML)"
    )
    assert set(found) == TESTED
    tests = "".join(
        path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*page*.py")
    )
    groups = {"modes": "data-mode", "latencies": "data-latency", "fits": "data-fit"}
    untested = [
        name
        for name in TESTED
        if tests.count(groups.get(name, name)) < 2 + (name in groups)  # once is the list above
    ]
    assert untested == []


def test_every_button_of_a_group_does_its_own(browser: Browser, daemon: Daemon) -> None:
    """Catches two buttons of one value; what is in force is pressed, and nothing else."""
    tab = opened(browser, daemon)
    for kind, values, force in (
        ("mode", Mode, lambda: daemon.controller.found.mode),
        ("latency", LatencyMode, lambda: daemon.controller.found.latency),
        ("fit", Fit, lambda: daemon.controller.found.fit),
    ):
        for value in (*values, next(iter(values))):
            click(tab, f"[data-{kind}={value}]")
            pressed = f"[...document.querySelectorAll('[data-{kind}][aria-pressed=true]')]"
            tab.wait_for(f"{pressed}.map((one) => one.dataset.{kind}).join() === '{value}'")
            assert force() is value


def test_of_two_quick_clicks_the_last_wins(
    browser: Browser, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches requests that overtake each other: the daemon works on several at once."""
    tab, controller = opened(browser, daemon), daemon.controller
    set_mode, done = controller.set_mode, []

    def set_slowly(mode: Mode) -> None:
        time.sleep(0.5 if not done and mode is Mode.BYPASS else 0)
        set_mode(mode)
        done.append(mode)

    monkeypatch.setattr(controller, "set_mode", set_slowly)
    click(tab, "[data-mode=bypass]")
    click(tab, "[data-mode=slate]")
    wait_until(lambda: len(done) == 2)
    assert done == [Mode.BYPASS, Mode.SLATE]


def test_a_snapshot_is_saved_at_its_full_size(browser: Browser, daemon: Daemon) -> None:
    """Catches a picture of the page's size, and a download without a name."""
    tab = opened(browser, daemon)
    daemon.controller.frame = replace(
        frame(RED, BLUE), pixels=np.full((720, 1280, 3), RED, np.uint8), source=None
    )
    tab.run(
        "window.saved = null; HTMLAnchorElement.prototype.click = function () {"
        " const image = new Image(); image.src = this.href;"
        " image.onload = () => { window.saved = [this.download, image.naturalWidth]; }; };"
        " URL.revokeObjectURL = () => {}; 1"
    )
    click(tab, "#snapshot")
    name, width = tab.wait_for("window.saved")
    assert width == 1280
    assert name.startswith("liveedit-")
    assert name.endswith(".jpg")


def test_a_recording_has_the_sound_that_was_asked_for(browser: Browser, daemon: Daemon) -> None:
    """Issue 20: catches a microphone that is opened unasked, and a tick nobody reads."""
    tab = opened(browser, daemon)
    for is_wanted in (False, True):
        if is_wanted:
            click(tab, "#with-sound")
        click(tab, "#record")
        tab.wait_for("document.getElementById('record').ariaPressed === 'true'")
        assert tab.run("document.getElementById('with-sound').checkVisibility()") is False
        click(tab, "#record")
        tab.wait_for("document.getElementById('record').ariaPressed === 'false'")
    assert [one[3] for one in daemon.controller.recordings] == [None, ""]


def test_a_region_is_drawn_with_the_keys(browser: Browser, daemon: Daemon) -> None:
    """Issue 20: keyboard; catches a region that only a mouse can draw, and no word how."""
    tab = opened(browser, daemon)
    wait_for_text(tab, "shown", "make it night")
    tab.run("document.getElementById('region').focus()")
    click(tab, "#region")
    assert tab.run("document.getElementById('region-hint').checkVisibility()")
    for key in ("ArrowLeft", "ArrowUp"):
        press(tab, key)
    shift = 8
    tab.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight", modifiers=shift)
    tab.call("Input.dispatchKeyEvent", type="keyUp", key="ArrowRight", modifiers=shift)
    press(tab, "Enter")
    wait_until(lambda: daemon.controller.instructions)
    region = daemon.controller.instructions[0].region
    assert region is not None
    found = (region.x, region.y, region.width, region.height)
    assert found == pytest.approx((0.2, 0.2, 0.55, 0.5))
    assert not tab.run("document.getElementById('region-hint').checkVisibility()")


def test_output_and_model_are_chosen_together(browser: Browser, daemon: Daemon) -> None:
    """Catches a list that is shown and not sent, and one left as it is that is."""
    tab = opened(browser, daemon)
    click(tab, "#open-choices")
    tab.wait_for("!document.getElementById('choices').hidden")
    pick(tab, "#choice-sink", "preview")
    pick(tab, "#choice-model", "nano")
    click(tab, "#use")
    wait_for_text(tab, "choice-said", "in use: preview, tried; nano, tried")
    taken = [(Choice.SINK, "preview", False), (Choice.MODEL, "nano", False)]
    assert daemon.controller.chosen == taken


def test_a_look_is_not_saved_where_one_thinks_better_of_it(
    browser: Browser, daemon: Daemon, tmp_path: Path
) -> None:
    """Catches a Cancel that saves, and a fade that is asked for and dropped."""
    daemon.controller.presets = PresetBook(tmp_path / "presets.toml")
    tab = opened(browser, daemon)
    wait_for_text(tab, "shown", "make it night")
    for button in ("#save-cancel", "#save"):
        click(tab, "#add-look")
        tab.run("document.getElementById('save-name').value = 'mine'")
        tab.run("document.getElementById('save-fade').value = '2'")
        click(tab, button)
        tab.wait_for("!document.getElementById('save-dialog').open")
        assert (tmp_path / "presets.toml").exists() is (button == "#save")
    assert daemon.controller.presets.find("mine").transition_s == 2.0


def test_two_pages_that_fight_both_see_who_won(browser: Browser, daemon: Daemon) -> None:
    """Issue 20: the last instruction wins; catches a page that goes on showing its own wish."""
    first, second = opened(browser, daemon), opened(browser, daemon)
    for tab, prompt in ((first, "golden light"), (second, "make it foggy")):
        tab.call("Page.bringToFront")  # a tab behind another one asks for nothing
        tab.run("document.getElementById('prompt').focus()")
        tab.call("Input.insertText", text=prompt)
        click(tab, "#edit")
        wait_for_text(tab, "shown", prompt)
    left_half = Region(0, 0, 0.5, 1)
    daemon.controller.found = replace(daemon.controller.found, strength=0.3, region=left_half)
    for tab in (first, second):
        tab.call("Page.bringToFront")
        wait_for_text(tab, "shown", "make it foggy")
        tab.wait_for("document.getElementById('strength').value === '30'")
        tab.wait_for("!document.getElementById('region-box').hidden")


def test_reuse_is_plotted_where_there_is_some(browser: Browser, daemon: Daemon) -> None:
    """Issue 20: four plots; catches an empty one where few steps leave nothing to reuse."""
    tab = opened(browser, daemon)
    shown = "[...document.querySelectorAll('#plots figure')].filter((one) => !one.hidden).length"
    daemon.controller.found = replace(daemon.controller.found, cache_skip=0.0)
    daemon.history.note(daemon.controller.found, 0.0)
    tab.wait_for(f"{shown} === 3")
    daemon.history.note(replace(daemon.controller.found, cache_skip=0.43), 5.0)
    tab.wait_for(f"{shown} === 4")
    wait_for_text(tab, "plots", "43 %")


def test_a_browser_without_the_newest_parts_shows_the_picture(
    browser: Browser, daemon: Daemon
) -> None:
    """Issue 20: no WebCodecs, no OffscreenCanvas; catches a blank page in an old browser."""
    tab = browser.open("about:blank")
    tab.call(
        "Page.addScriptToEvaluateOnNewDocument",
        source="for (const name of ['VideoDecoder', 'EncodedVideoChunk', 'ImageDecoder',"
        " 'OffscreenCanvas']) delete window[name];",
    )
    tab.call("Page.navigate", url=daemon.address.page_url)
    tab.call("Page.bringToFront")
    tab.wait_for("document.readyState === 'complete'")
    assert tab.run("typeof VideoDecoder + typeof OffscreenCanvas") == "undefinedundefined"
    wait_for_colour(tab, "edited", RED)
    pick(tab, "#overlay", "change")
    tab.wait_for(f"({COLOUR % 0.75})?.every((v, at) => v > [200, 100, 10][at])")


def test_a_broken_preset_file_is_named_on_the_page(
    browser: Browser, daemon: Daemon, tmp_path: Path
) -> None:
    """Issue 20: catches a file that takes all looks away, or a fault only the log knows."""
    path = tmp_path / "presets.toml"
    path.write_text('[[preset]]\nname = "good"\nedit = "make it night"\n[[preset]]\nname = oops\n')
    daemon.controller.presets = PresetBook(path)
    tab = opened(browser, daemon)
    wait_for_text(tab, "looks-problem", "presets.toml line 5")
    assert tab.run("document.querySelectorAll('#looks [data-look]').length") == 9
