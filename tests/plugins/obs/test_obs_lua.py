"""The OBS script under plain Lua, with a small fake of OBS's own library beside this file.

Each test is a few lines of Lua: what OBS and the user do, and ``show()`` for what then stands in
the text source. Real OBS runs the same script in ``tests/obs/real``.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

FAKE = Path(__file__).with_name("fake_obslua.lua")
SCRIPT = FAKE.parents[3] / "plugins" / "obs" / "liveedit_cam.lua"
LUA = shutil.which("lua5.1") or shutil.which("luajit") or shutil.which("lua")
WITH_PROMPT = 'source("LiveEdit prompt", TEXT_KIND, {text = "typed"}) start(list("a", "b", "c"))'

pytestmark = pytest.mark.skipif(LUA is None, reason="needs lua5.1 (apt install lua5.1)")


def run(steps: str, kind: str = "text_ft2_source_v2") -> list[str]:
    """Lines printed by ``steps``; the script must have released all it took from OBS."""
    assert LUA is not None
    program = (
        f"TEXT_KIND = '{kind}' dofile('{FAKE.as_posix()}') dofile('{SCRIPT.as_posix()}')\n"
        f"{steps}\nfinish()"
    )
    found = subprocess.run([LUA, "-e", program], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    lines = found.stdout.splitlines()
    assert lines[-1] == "open 0"
    return lines[:-1]


def test_next_and_previous_go_around_the_list() -> None:
    """Catches an index off by one at either end, and a counter that stands still."""
    steps = " ".join(f"press('{key}') show()" for key in ["next"] * 4 + ["previous"] * 2)
    assert run(f"{WITH_PROMPT} {steps}") == [
        "a | edit 1",
        "b | edit 2",
        "c | edit 3",
        "a | edit 4",
        "c | edit 5",
        "b | edit 6",
    ]


def test_previous_first_takes_the_last_instruction() -> None:
    """Catches a first press that skips the end of the list."""
    assert run(f"{WITH_PROMPT} press('previous') show()") == ["c | edit 1"]


def test_next_goes_on_from_what_stands_in_the_source() -> None:
    """Catches a script that begins anew after OBS was restarted."""
    steps = 'source("LiveEdit prompt", TEXT_KIND, {text = "b"}) start(list("a", "b", "c"))'
    assert run(f"{steps} press('next') show()") == ["c | edit 1"]


@pytest.mark.parametrize(("key", "text"), [("1", "a"), ("3", "c")])
def test_a_digit_takes_its_instruction(key: str, text: str) -> None:
    """Catches closures that all hold the last digit."""
    assert run(f"{WITH_PROMPT} press('{key}') show()") == [f"{text} | edit 1"]


def test_a_digit_beyond_the_list_says_so() -> None:
    """Catches an empty instruction written for a key that has none."""
    assert run(f"{WITH_PROMPT} press('4') show()") == [
        "warning: There is no instruction 4, the list has 3. Add it in Tools > Scripts.",
        "typed | ",
    ]


def test_an_empty_list_says_so() -> None:
    """Catches a division by the length of an empty list."""
    steps = f"{WITH_PROMPT} settings.own.instructions = list() script_update(settings)"
    lines = run(f"{steps} press('next') press('previous') press('1') press('toggle') show()")
    assert [line.startswith("warning: There is no instruction 1") for line in lines[:3]] == [
        True
    ] * 3
    assert lines[3:] == [" | edit 1"]


@pytest.mark.parametrize("key", ["bypass", "slate"])
def test_a_mode_keeps_the_instruction_and_toggle_comes_back(key: str) -> None:
    """Catches a mode key that loses the text, and a toggle that also switches the edit off."""
    lines = run(f"{WITH_PROMPT} press('{key}') show() press('{key}') show() press('toggle') show()")
    assert lines == [f"typed | {key} 1", f"typed | {key} 2", "typed | edit 3"]


def test_toggle_empties_the_text_and_brings_it_back() -> None:
    """Catches a toggle that forgets an instruction typed by hand."""
    lines = run(f"{WITH_PROMPT} press('toggle') show() press('toggle') show()")
    assert lines == [" | edit 1", "typed | edit 2"]


def test_toggle_with_nothing_before_takes_the_first() -> None:
    """Catches a toggle that does nothing in a fresh set-up."""
    steps = 'source("LiveEdit prompt", TEXT_KIND) start(list("a", "b"))'
    assert run(f"{steps} press('toggle') show()") == ["a | edit 1"]


def test_a_release_does_nothing() -> None:
    """Catches keys that act twice, once on press and once on release."""
    assert run(f"{WITH_PROMPT} release('next') release('bypass') show()") == ["typed | "]


def test_the_counter_goes_on_from_the_source() -> None:
    """Catches a repeated command that looks unchanged to liveedit-cam after a restart of OBS."""
    steps = 'source("LiveEdit prompt", TEXT_KIND, {liveedit_command = "slate 41"}) start(list("a"))'
    assert run(f"{steps} press('slate') show()") == [" | slate 42"]


def test_a_missing_source_is_named_in_the_log() -> None:
    """Catches a hotkey that silently does nothing, or raises in OBS."""
    keys = ["next", "previous", "toggle", "bypass", "slate", "1"]
    lines = run(f"start(list('a')) {' '.join(f'press({key!r})' for key in keys)}")
    assert len(lines) == len(keys)
    for line in lines:
        assert line.startswith('warning: There is no source "LiveEdit prompt". Press "Create')


@pytest.mark.parametrize("kind", ["text_gdiplus_v3", "text_gdiplus_v2", "text_ft2_source_v2"])
def test_the_button_creates_a_hidden_source(kind: str) -> None:
    """Catches a text source of a kind this system has not, and an instruction viewers can read."""
    steps = "start(list('a')) click('create') local made = sources['LiveEdit prompt']"
    lines = run(f"{steps} print(made.kind, made.visible) press('1') show()", kind)
    assert lines == [
        'info: Created the text source "LiveEdit prompt", hidden, in scene "Scene".',
        f"{kind}\tfalse",
        "a | edit 1",
    ]


def test_the_button_leaves_a_source_that_is_there() -> None:
    """Catches a second source, whose name OBS would change so that nothing reads it."""
    lines = run(f"{WITH_PROMPT} click('create') show()")
    assert lines == ['info: The source "LiveEdit prompt" is there already.', "typed | "]


def test_the_button_says_that_this_obs_has_no_text_source() -> None:
    """Catches a source of no kind."""
    lines = run("start(list('a')) click('create') print(sources['LiveEdit prompt'])", "none")
    assert lines[0].startswith("warning: This OBS has no text source")
    assert lines[1] == "nil"


def test_the_menu_offers_the_list_and_uses_the_choice() -> None:
    """Catches a menu that keeps the items of before, and a button that ignores the choice.

    Before a choice the menu shows its first item, so the button takes that one.
    """
    steps = (
        "click('use') show() local all = script_properties()"
        " settings.own.instructions = list('x', 'y')"
        " all.instructions.changed(all, all.instructions, settings)"
        " print(table.concat(all.chosen.items, ' ')) settings.own.chosen = 'y'"
        " script_update(settings) click('use') show()"
    )
    assert run(f"{WITH_PROMPT} {steps}") == [
        "a | edit 1",
        "x y",
        "y | edit 2",
    ]


def test_every_hotkey_has_its_own_name_and_its_keys_are_saved() -> None:
    """Catches one shared name, as many scripts have, which makes OBS mix up the keys."""
    steps = (
        "settings.own['liveedit.slate'] = {'F9'} settings.own['liveedit.1'] = {'F1', 'F2'}"
        f" {WITH_PROMPT} local saved = data() script_save(saved) local names = {{}}"
        " for name, keys in pairs(saved.own) do table.insert(names, name .. ' ' .. #keys) end"
        " table.sort(names) print(table.concat(names, ', '))"
    )
    digits = ", ".join(f"liveedit.{index} 0" for index in range(2, 10))
    assert run(steps) == [
        f"liveedit.1 2, {digits}, liveedit.bypass 0, liveedit.next 0, liveedit.previous 0,"
        " liveedit.slate 1, liveedit.toggle 0"
    ]


def test_every_hotkey_says_whose_it_is() -> None:
    """Catches a line in OBS's long list of hotkeys that the user does not find."""
    steps = "for _, key in pairs(hotkeys) do print(key.description:sub(1, 10)) end"
    assert run(f"{WITH_PROMPT} {steps}") == ["LiveEdit: "] * 14


def test_a_fresh_script_offers_instructions() -> None:
    """Catches an empty list after the first load, where no key does anything."""
    steps = 'source("LiveEdit prompt", TEXT_KIND) start(nil) press("1") show()'
    assert run(steps) == ["make it night | edit 1"]
