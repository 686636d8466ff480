"""The door to the laboratory: ``train``, ``bench`` and ``lab`` hand their words on to it.

The one file of the camera that names ``liveedit_cam.lab``, and only once such a command is called.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

import typer

from liveedit_cam.cores import share_cores, usable_cores
from liveedit_cam.errors import MissingDependencyError, UsageError

COMMANDS = {
    "train": "Train a model from scratch (see train --help).",
    "bench": "Measure how well a model edits (see bench --help).",
    "lab": "A toy model in two minutes; the paper's ablations (see lab --help).",
}
NEEDED = "matplotlib"
"""What the extra ``lab`` brings and a camera has no use for: names of colours, and plots."""


def forward(context: typer.Context) -> None:
    """Hand the words of a command on. Raises UsageError for a command that moved.

    Raises MissingDependencyError without the extra ``lab``.
    """
    name = context.info_name
    assert name is not None, "Typer names every command it calls"
    if name == "train" and context.args[:1] == ["toy"]:
        raise UsageError("`train toy` is `lab toy` now.", hint="Try: liveedit-cam lab toy --help")
    if find_spec(NEEDED) is None:
        raise MissingDependencyError(
            f"`liveedit-cam {name}` needs {NEEDED}, which is not installed.",
            hint='Install the laboratory: pip install "liveedit-cam[lab]"',
        )
    if name == "train":
        from liveedit_cam.lab.training.commands import app
    elif name == "bench":
        from liveedit_cam.lab.evaluation.commands import app
    else:
        share_cores(os.environ, usable_cores())  # before torch is loaded, as the engine does
        from liveedit_cam.lab.commands import app
    app(args=list(context.args), prog_name=f"liveedit-cam {name}")
