"""What commands share: how a group of them is made, and how one asks before it acts."""

from __future__ import annotations

import sys

import typer

from liveedit_cam.errors import UsageError


def new_group(purpose: str) -> typer.Typer:
    """A group of commands, ``purpose`` being its line of help."""
    return typer.Typer(
        help=purpose,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def agree(question: str, *, yes: bool) -> None:
    """Ask, unless told not to. Raises UsageError where nobody can answer, typer.Exit for a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"got no terminal to ask on: {question}", hint="Say it with --yes.")
    if not typer.confirm(question):
        raise typer.Exit(1)
