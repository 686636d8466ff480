"""From the runs of the stages to a model folder, and to the frozen networks of the next stage."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.edits.instructions import known_words, survey_palette
from liveedit_cam.lab.training.editor import Editor
from liveedit_cam.model.codec import Codec
from liveedit_cam.model.config import ModelConfig
from liveedit_cam.model.text import TextEncoder
from liveedit_cam.model.weight_files import load_weights, packed


def export_model(config: ModelConfig, out: Path, stage: str, to: Path) -> None:
    """Write a model folder: DiT of ``out/stage``, codec and text encoder of theirs.

    Raises UsageError where a stage has not run.
    """
    load_codec(out, config)
    load_text(out, config)
    to.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(out / "codec" / "codec.safetensors", to / "codec.safetensors")
    shutil.copyfile(out / "text" / "text.safetensors", to / "text.safetensors")
    shutil.copyfile(out / "text" / "words.json", to / "words.json")
    export_editor(config, out / stage, to / "model.safetensors")
    (to / "config.json").write_text(json.dumps(config.to_dict(), indent=1) + "\n")


def export_editor(config: ModelConfig, run: Path, path: Path) -> None:
    """Write the mean DiT weights of a run's newest checkpoint as safetensors, matrices in 8 bits.

    Where its text encoder learnt beside it, that and the words of today's wordings stand beside
    ``path`` afterwards.
    """
    checkpoint = run / "checkpoint.pt"
    if not checkpoint.is_file():
        raise UsageError(
            f"got no {checkpoint}, expected one of that stage",
            hint="Run `liveedit-cam train teacher-forcing` first.",
        )
    state = torch.load(checkpoint, weights_only=True, map_location="cpu")["ema"]
    has_text = any(name.startswith("text.") for name in state)
    editor = Editor(config, TextEncoder(config.text) if has_text else None)
    editor.load_state_dict(state)
    _save(editor.dit, path)
    if editor.text is not None:
        _save(editor.text, path.with_name("text.safetensors"))
        words = json.dumps(known_words(survey_palette()))
        path.with_name("words.json").write_text(words)


def _save(network: nn.Module, path: Path) -> None:
    partial = path.with_suffix(".partial")
    save_file(packed(network.state_dict()), partial)
    partial.replace(path)


def begin_from(start: Path | None, out: Path) -> None:
    """Take codec and text encoder of the model folder ``start`` for runs that have none yet.

    Does nothing where ``start`` is a checkpoint, or None. Raises UsageError for another folder.
    """
    if start is None or not start.is_dir():
        return
    for stage, name in (("codec", "codec"), ("text", "text"), ("text", "words")):
        file = f"{name}.json" if name == "words" else f"{name}.safetensors"
        if not (start / file).is_file():
            raise UsageError(
                f"got start = {start}, which holds no {file}",
                hint="Name a model folder such as models/nano, or a checkpoint.pt.",
            )
        if not (out / stage / file).is_file():
            (out / stage).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(start / file, out / stage / file)


def load_codec(out: Path, config: ModelConfig) -> Codec:
    """The codec a run wrote, float32. Raises UsageError where the stage has not run."""
    trained = Codec(config.codec)
    load_weights(trained, _stage_file(out / "codec" / "codec.safetensors", "codec"))
    return trained


def load_text(out: Path, config: ModelConfig) -> TextEncoder:
    """The text encoder a run wrote, float32."""
    trained = TextEncoder(config.text)
    load_weights(trained, _stage_file(out / "text" / "text.safetensors", "text"))
    return trained.eval()


def _stage_file(path: Path, stage: str) -> Path:
    if not path.is_file():
        raise UsageError(
            f"got no {path}, expected the result of stage {stage!r}",
            hint=f"Run `liveedit-cam train {stage}` first.",
        )
    return path
