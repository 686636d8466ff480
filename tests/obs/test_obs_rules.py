"""The rule file: what is read, what is refused and where, and when it is read again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from liveedit_cam.errors import ConfigError
from liveedit_cam.obs.rules import (
    RuleBook,
    RuleFile,
    explain,
    load_rules,
    parse_rules,
    starter_rules,
    try_rule,
)
from liveedit_cam.protocols import Action, Rule
from liveedit_cam.types import Mode

FULL = """\
status_text = "LiveEdit status"

[[rule]]
when = { scene = "Night show" }
edit = "make it night"
strength = 0.5

[[rule]]
when = { filter = "LUT", source = "Camera", is = "on" }
mode = "slate"

[[rule]]
when.text = "LiveEdit prompt"
"""


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_rules(text, "obs.toml")
    return str(caught.value)


def test_a_file_becomes_rules() -> None:
    """Catches a value lost on the way, and a kind that is not the first field."""
    book = parse_rules(FULL, "obs.toml")
    assert book.status_text == "LiveEdit status"
    assert book.rules == (
        Rule("scene", {"scene": "Night show"}, Action("make it night", None, 0.5), 3),
        Rule(
            "filter",
            {"filter": "LUT", "source": "Camera", "is": "on"},
            Action(mode=Mode.SLATE),
            8,
        ),
        Rule("text", {"text": "LiveEdit prompt"}, Action(), 12),
    )
    assert [rule.kind for _, rule in book.of_event("InputSettingsChanged")] == ["text"]
    assert book.inputs_of_event("InputSettingsChanged") == ("LiveEdit prompt",)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", 'status_text = "S"\n'])
def test_a_file_without_rules_is_valid(text: str) -> None:
    """Catches a fresh starter file being refused."""
    assert parse_rules(text, "obs.toml").rules == ()


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[[rule]]\nwhen = {", 2, ["valid TOML"]),
        ("[[rule]]\nwhen = { scene = 'x' }\nedit = ", 3, ["valid TOML"]),
        ("status = 'x'", 1, ["'status'", "Did you mean 'status_text'?"]),
        ("status_text = 3", 1, ["got status_text = 3", "name of a text source"]),
        ("\nrule = 1", 2, ["[[rule]]"]),
        ("[rule]\nwhen = { scene = 'x' }", 1, ["[[rule]]"]),
        ("[[rule]]\nedit = 'x'", 1, ["no when"]),
        ("[[rule]]\nedit = 'x'\nwhen = 'Night'", 3, ["when = 'Night'"]),
        ("[[rule]]\nwhen = {}\nedit = 'x'", 2, ["when = {}"]),
        ("[[rule]]\nwhen = { scen = 'x' }\nedit = 'y'", 2, ["'scen'", "Did you mean 'scene'?"]),
        ("[[rule]]\nwhen = { scene = 3 }\nedit = 'y'", 2, ["scene = 3", "a text"]),
        ("[[rule]]\nwhen = { scene = '' }\nedit = 'y'", 2, ["scene = ''"]),
        (
            "[[rule]]\nedit = 'y'\nwhen = { source = 'x', is = 'shwn' }",
            3,
            ["is = 'shwn'", '"shown" or "hidden"', "Did you mean 'shown'?"],
        ),
        ("[[rule]]\nedit = 'y'\nwhen = { source = 'x' }", 1, ["no is", '"shown" or "hidden"']),
        (
            "[[rule]]\nwhen = { source = 'x', filter = 'f', is = 'on' }\nedit = 'y'",
            2,
            ["'filter'", "write filter first"],
        ),
        ("[[rule]]\nwhen = { scene = 'x', sceen = 'y' }\nedit = 'y'", 2, ["'sceen'"]),
        ("[[rule]]\nwhen = { scene = 'x' }\n# edit = 1\nedit = ''", 4, ["empty instruction"]),
        ("[[rule]]\nwhen = { scene = 'x' }\nedit = 7", 3, ["type int"]),
        ("[[rule]]\nwhen = { scene = 'x' }\nmode = 'bypas'", 3, ["Did you mean 'bypass'?"]),
        ("[[rule]]\nwhen = { scene = 'x' }\nmode = ['edit']", 3, ["mode = ['edit']"]),
        ("[[rule]]\nwhen = { scene = 'x' }\nstrength = 1.5", 3, ["1.5", "from 0 to 1"]),
        ("[[rule]]\nwhen = { scene = 'x' }\nstrength = true", 3, ["True"]),
        ("[[rule]]\nwhen = { scene = 'x' }\nstrength = nan", 3, ["nan"]),
        ("[[rule]]\nwhen = { scene = 'x' }", 1, ["does nothing"]),
        ("[[rule]]\nwhen = { scene = 'x' }\nedt = 'y'", 3, ["'edt'", "Did you mean 'edit'?"]),
        ("[[rule]]\nwhen = { text = 'x' }\nedit = 'y'", 3, ["brings the instruction"]),
        (
            "[[rule]]\nwhen = { scene = 'x' }\nedit = 'y'\n[[rule]]\nwhen.scene = 'z'\nedit = 3",
            6,
            ["type int"],
        ),
        (
            "[[rule]]\nedit = 'y'\n[rule.when]\nsource = 'x'\nis = 'on'",
            5,
            ["is = 'on'"],
        ),
        ("status_text = 'B'\n[[rule]]\nwhen = { text = 'B' }", 1, ["'B'", "next instruction"]),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, line: int, words: list[str]) -> None:
    """Catches a wrong line, and a message that does not say what came and what was expected."""
    message = refusal(text)
    assert f"line {line}" in message
    assert message.startswith("obs.toml")
    for word in words:
        assert word in message


def test_a_rule_written_oddly_is_told_by_its_number() -> None:
    """Catches a wrong line where the headers are no lines: then the number of the rule is true."""
    text = "rule = [{ when = { scene = 'x' }, edit = 'y' }, { when = { scene = 'x' } }]"
    assert "obs.toml rule 2: got a rule that does nothing" in refusal(text)


def test_a_rule_is_explained_in_one_line() -> None:
    """Catches a part of the action left out of what the user is shown."""
    lines = [explain(rule) for rule in parse_rules(FULL, "obs.toml").rules]
    assert lines == [
        'scene = "Night show": edit "make it night", strength 0.5',
        'filter = "LUT", source = "Camera", is = "on": mode slate',
        'text = "LiveEdit prompt": its text is the instruction',
    ]
    (rule,) = parse_rules(
        '[[rule]]\nwhen = { scene = "x" }\npreset = "night"\nmode = "edit"', "obs.toml"
    ).rules
    assert explain(rule) == 'scene = "x": preset "night", mode edit'


def test_each_rule_can_be_tried_without_obs() -> None:
    """Catches an example that does not fit its own rule."""
    actions = [try_rule(rule) for rule in parse_rules(FULL, "obs.toml").rules]
    assert actions == [
        Action("make it night", None, 0.5),
        Action(mode=Mode.SLATE),
        Action("make it night"),
    ]


def test_the_starter_file_is_valid_also_with_its_marks_taken_away() -> None:
    """Catches scene names that break the TOML, and examples that are refused."""
    scenes = ['My "best" scene', "back\\slash", "Übergang"]
    text = starter_rules(scenes)
    assert parse_rules(text, "obs.toml").rules == ()
    active = "\n".join(
        line.removeprefix("# ")
        for line in text.splitlines()
        if line.startswith(("# [[", "# when", "# edit", "# status_text"))
    )
    book = parse_rules(active, "obs.toml")
    assert [rule.when.get("scene") for rule in book.rules[1:]] == scenes
    assert book.rules[0].kind == "text"
    boxed = parse_rules(starter_rules(scenes, prompt_box="LiveEdit prompt"), "obs.toml")
    assert [rule.when for rule in boxed.rules] == [{"text": "LiveEdit prompt"}]


def test_a_missing_file_holds_no_rules_and_an_unreadable_one_is_told(tmp_path: Path) -> None:
    """Catches an error for everybody who has no rules, and none for a file that is no text."""
    assert load_rules(tmp_path / "none.toml") == RuleBook()
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary.toml cannot be read.*UTF-8"):
        load_rules(tmp_path / "binary.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_rules(tmp_path)


def rested(file: RuleFile) -> bool:
    """Whether the second look at a change that is complete brought something new."""
    return [file.reload(), file.reload(), file.reload()] == [False, True, False]


def test_a_changed_file_is_read_again_and_a_broken_one_leaves_the_old_rules(tmp_path: Path) -> None:
    """Catches rules lost by a typing error, and a correction that is never seen."""
    path = tmp_path / "obs.toml"
    file = RuleFile(path)
    assert (file.reload(), file.book, file.problem) == (True, RuleBook(), None)
    assert file.reload() is False
    path.write_text(FULL)
    assert rested(file)
    assert len(file.book.rules) == 3
    path.write_text(FULL + "[[rule]]\n")
    assert rested(file)
    assert len(file.book.rules) == 3
    assert "line 14: got no when" in str(file.problem)
    path.write_text(FULL.replace("0.5", "0.7"))
    assert rested(file)
    assert (file.book.rules[0].action.strength, file.problem) == (0.7, None)
    path.unlink()
    assert rested(file)
    assert file.book.rules == ()


def test_a_file_that_is_being_saved_does_not_take_the_rules_away(tmp_path: Path) -> None:
    """Catches the empty file, or none, that an editor leaves for a moment: no rule would act then,
    and none after it if what is saved has a mistake. Seen with real OBS."""
    path = tmp_path / "obs.toml"
    path.write_text(FULL)
    file = RuleFile(path)
    assert file.reload()
    path.write_text("")
    assert file.reload() is False
    path.unlink()
    assert file.reload() is False
    path.write_text(FULL + "[[rule]]\n")
    assert rested(file)
    assert len(file.book.rules) == 3


def test_a_change_of_the_same_size_is_seen(tmp_path: Path) -> None:
    """Catches looking at the size alone: 0.5 and 0.7 are equally long."""
    path = tmp_path / "obs.toml"
    path.write_text(FULL)
    os.utime(path, ns=(1_000, 1_000))
    file = RuleFile(path)
    file.reload()
    path.write_text(FULL.replace("0.5", "0.7"))
    os.utime(path, ns=(2_000, 2_000))
    assert rested(file)
    assert file.book.rules[0].action.strength == 0.7
