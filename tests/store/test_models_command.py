"""The command ``models`` as a user meets it: texts, exit codes, questions."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from liveedit_cam.commands.models import app, choose_transfer
from liveedit_cam.errors import LiveEditError, UsageError, WeightsError
from liveedit_cam.folders import MODELS_VARIABLE
from liveedit_cam.store.installed import gathering_folder

LARGE = "liveedit-1.3b"


class Command:
    """``liveedit-cam models`` with a folder of models of its own."""

    def __init__(self, models: Path) -> None:
        self.folder = models / LARGE
        self._runner = CliRunner(env={MODELS_VARIABLE: str(models)})

    def __call__(self, *arguments: str) -> str:
        """What it prints. Raises what it raises."""
        result = self._runner.invoke(app, list(arguments), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    def refusal(self, kind: type[LiveEditError], *arguments: str) -> str:
        """The message of the error that it must raise."""
        with pytest.raises(kind) as caught:
            self(*arguments)
        assert type(caught.value) is kind
        return str(caught.value)


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Nothing pulled."""
    return Command(tmp_path / "models")


def test_the_list_says_what_is_here_and_how_to_get_the_rest(command: Command) -> None:
    """Catches a model that looks installed, and a way out that is not said."""
    lines = command("list").splitlines()
    assert lines[0].startswith("nano  ")
    assert " MB, " in lines[1]
    assert lines[2].startswith(f"{LARGE}  ")
    assert lines[3] == f"    not on this computer; liveedit-cam models pull {LARGE}"


def test_the_list_for_programs_keeps_its_keys(command: Command) -> None:
    """Catches a key renamed under scripts that read it."""
    nano, large = json.loads(command("list", "--json"))
    assert nano.keys() == {"name", "description", "path", "size_bytes", "is_installed"}
    assert (nano["name"], nano["is_installed"]) == ("nano", True)
    assert nano["size_bytes"] > 1_000_000
    assert (large["is_installed"], large["size_bytes"]) == (False, 0)
    assert large["path"] == str(command.folder)


def test_path_prints_the_folder_alone(command: Command) -> None:
    """Catches a line that a shell cannot use as it is."""
    assert command("path", LARGE) == f"{command.folder}\n"
    assert command("path", "nano").endswith("nano\n")


def test_info_of_a_shipped_model_asks_for_nothing(command: Command) -> None:
    """Catches a need of a GPU said of nano."""
    text = command("info", "nano")
    assert "nothing to pull" in text
    assert "GPU memory" not in text


@pytest.mark.parametrize("name", ["info", "pull", "verify", "path", "remove"])
def test_a_mistaken_name_is_corrected_everywhere(command: Command, name: str) -> None:
    """Catches a command that looks for a folder instead."""
    message = command.refusal(UsageError, name, "liveedit-1.3")
    assert f"Did you mean {LARGE}?" in message


def test_nano_is_neither_pulled_nor_checked_nor_removed(command: Command) -> None:
    """Catches the shipped model deleted."""
    assert command("pull", "nano") == "nano is shipped with liveedit-cam; nothing to pull\n"
    assert "which is shipped" in command.refusal(UsageError, "verify", "nano")
    assert "which is shipped" in command.refusal(UsageError, "remove", "nano", "--yes")
    assert json.loads(command("list", "--json"))[0]["is_installed"] is True


def test_offline_says_what_is_missing(command: Command) -> None:
    """Catches a pull that asks the hub after all; the guard would raise."""
    message = command.refusal(WeightsError, "pull", LARGE, "--offline")
    assert "got no leave to ask the hub (--offline), and 11 files" in message
    assert "model.safetensors, vae/config.json" in message
    assert str(command.folder) in message
    assert not command.folder.parent.exists()


def test_verify_and_remove_of_nothing_say_so(command: Command) -> None:
    """Catches success reported on an empty folder."""
    assert "where no liveedit-1.3b is installed" in command.refusal(WeightsError, "verify", LARGE)
    assert "not on this computer" in command.refusal(UsageError, "remove", LARGE)


def test_remove_asks_first(command: Command) -> None:
    """Catches gigabytes deleted by one word; without a terminal nobody can answer."""
    left = gathering_folder(command.folder)
    left.mkdir(parents=True)
    (left / "w.part").write_bytes(b"x" * 5000)
    message = command.refusal(UsageError, "remove", LARGE)
    assert "got no terminal to ask on: Delete?" in message
    assert left.is_dir()
    text = command("remove", LARGE, "--yes")
    assert text == f"{left}: 5 kB\n{LARGE} is removed\n"
    assert not left.exists()


def test_progress_without_a_terminal_is_one_line_a_file() -> None:
    """Catches thousands of lines in a log."""
    out = io.StringIO()
    with choose_transfer(Console(file=out, width=20)) as progress:
        for label in ("[a]", "a/very/long/name/of/a/file"):
            for done in range(100):
                progress(label, done, 99_000)
    assert out.getvalue() == "[a] (99 kB)\na/very/long/name/of/a/file (99 kB)\n"


def test_progress_on_a_terminal_is_a_bar_a_file() -> None:
    """Catches a bar that belongs to another file."""
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True, color_system=None)
    with choose_transfer(console) as progress:
        progress("one", 500_000, 1_000_000)
        progress("one", 1_000_000, 1_000_000)
        progress("two", 250_000, 1_000_000)
    last = out.getvalue().replace("\r", "\n")
    assert "1.0/1.0 MB" in last
    assert "0.2/1.0 MB" in last or "250.0 kB" in last
