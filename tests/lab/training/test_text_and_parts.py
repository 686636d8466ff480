"""The text encoder that learns beside the editor, and batches worked on in parts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny_model import TINY, tiny_codec, tiny_text

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.edits.drawn import drawn_clips
from liveedit_cam.lab.edits.instructions import plain_palette
from liveedit_cam.lab.training import stages
from liveedit_cam.lab.training.batches import LatentBatch
from liveedit_cam.lab.training.editor import Editor
from liveedit_cam.lab.training.export import begin_from, export_editor
from liveedit_cam.lab.training.loop import LoopConfig, Run, Trainee
from liveedit_cam.lab.training.materials import Materials
from liveedit_cam.lab.training.settings import StageSettings
from liveedit_cam.lab.training.teacher_forcing import TeacherForcing
from liveedit_cam.lab.training.threaded import Losses, twin
from liveedit_cam.model.weight_files import load_weights


def batch(num_old: int) -> LatentBatch:
    source = torch.randn(
        2, TINY.latent_channels, 1, 6, 8, generator=torch.Generator().manual_seed(1)
    )
    return LatentBatch(
        source,
        source + 0.5,
        torch.zeros(2, 1, 6, 8),
        torch.tensor([False, False]),
        ("make it blue", "make my hair red"),
        num_old=num_old,
    )


def forcing() -> TeacherForcing:
    stage = TeacherForcing(
        TINY, tiny_text().requires_grad_(False), torch.ones(TINY.latent_channels), 0
    )
    stage.draws.begin(0)
    return stage


def test_old_prompts_are_held_where_they_were() -> None:
    """Catches an anchor on the new prompts, and one that is not there."""
    editor = Editor(TINY, tiny_text())
    torch.nn.init.normal_(editor.dit.head.head.weight)
    assert editor.text is not None
    _, values = forcing()(editor, batch(1))
    assert values["anchor"] == 0
    with torch.no_grad():
        editor.text.summary.add_(1.0)
    _, moved = forcing()(editor, batch(1))
    _, free = forcing()(editor, batch(0))
    assert moved["anchor"] > 0
    assert free["anchor"] == 0


def test_the_text_encoder_learns_slower() -> None:
    """Catches one learning rate for all, and a text encoder among Muon's matrices."""
    editor = Editor(TINY, tiny_text().requires_grad_(True))
    config = LoopConfig(10, 1e-3, warmup_iterations=1, text_rate=0.25)
    trainee = Trainee(editor, config)
    loss, _ = forcing()(editor, batch(1))
    trainee.update(loss, 5)
    rates = {
        id(p): group["lr"]
        for optimiser in trainee.optimisers
        for group in optimiser.param_groups
        for p in group["params"]
    }
    assert editor.text is not None
    text = {rates[id(p)] for p in editor.text.parameters()}
    rest = {rates[id(p)] for p in editor.dit.parameters()}
    assert text == {0.25 * max(rest)}
    assert len(rest) == 1


def materials() -> Materials:
    """Frozen networks and drawn scenes, no pictures."""
    codec, text = tiny_codec().requires_grad_(False), tiny_text().requires_grad_(False)
    return Materials(TINY, codec, text, (), drawn_clips(2, 0), plain_palette())


def train_in_two_parts(folder: Path, **given: object) -> None:
    """Stage 2 of the tiny model, on a thread for each part."""
    settings = StageSettings.model_validate(
        {"out": folder, "num_latents": 1, "height": 48, "width": 80, "parts": 2, "threads": 2,
         "device": "cpu", **given}
    )  # fmt: skip
    threads = torch.get_num_threads()
    try:
        stages.train_teacher_forcing(settings, materials())
    finally:
        torch.set_num_threads(threads)


def test_a_twin_has_the_same_weights_and_hooks_of_its_own() -> None:
    """Catches threads that see each other's hidden states, and gradients that go astray."""
    editor = Editor(TINY)
    other = twin(editor)
    assert all(a is b for a, b in zip(editor.parameters(), other.parameters(), strict=True))
    seen: list[int] = []
    other.dit.blocks[0].register_forward_hook(lambda *_: seen.append(1))
    loss, _ = forcing()(editor, batch(0))
    assert not seen
    loss.backward()
    assert all(p.grad is not None for p in other.dit.blocks.parameters())


@pytest.mark.slow
def test_parts_resume_to_the_losses_they_would_have_had(tmp_path: Path) -> None:
    """Catches draws that depend on how threads took turns or on where a run was interrupted."""

    def train(folder: Path, iterations: int) -> list[float]:
        train_in_two_parts(
            folder, iterations=iterations, batch=4, text_rate=0.5, log_every=1,
            learning_rate=1e-12, decay_share=0.01,
        )  # fmt: skip
        lines = (folder / "editor" / "log.jsonl").read_text().splitlines()
        return [json.loads(line)["loss"] for line in lines]

    whole = train(tmp_path / "whole", 4)
    train(tmp_path / "halves", 2)
    halves = train(tmp_path / "halves", 4)
    assert len(set(whole)) == len(whole) == 4
    assert torch.allclose(torch.tensor(whole), torch.tensor(halves), rtol=1e-5)


def test_parts_multiply_in_16_bit_where_asked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a setting that only whole batches obey."""
    types: list[torch.dtype] = []

    def loss_of(_stage: TeacherForcing, editor: Editor, _batch: LatentBatch) -> Losses:
        product = editor.subject_head(torch.zeros(1, TINY.dim))
        types.append(product.dtype)
        return product.float().sum(), {}

    monkeypatch.setattr(TeacherForcing, "__call__", loss_of)
    train_in_two_parts(tmp_path, iterations=1, batch=2, bfloat16=True)
    assert types == [torch.bfloat16, torch.bfloat16]


def test_a_run_begins_from_a_model_folder(tmp_path: Path) -> None:
    """Catches a start that misses a file, and a codec of an earlier stage written over."""
    start, out = tmp_path / "model", tmp_path / "runs"
    start.mkdir()
    with pytest.raises(UsageError, match=r"no codec\.safetensors"):
        begin_from(start, out)
    for name in ("codec.safetensors", "text.safetensors", "words.json"):
        (start / name).write_text(f"of the model: {name}")
    (out / "codec").mkdir(parents=True)
    (out / "codec" / "codec.safetensors").write_text("trained here")
    begin_from(start, out)
    assert (out / "codec" / "codec.safetensors").read_text() == "trained here"
    assert (out / "text" / "words.json").read_text() == "of the model: words.json"


def test_a_text_encoder_that_learnt_goes_on_with_its_editor(tmp_path: Path) -> None:
    """Catches a stage refused for the text encoder in the checkpoint it starts from, one that reads
    instructions by the encoder of before, and a model exported with that.
    """
    learnt = tiny_text()
    torch.nn.init.normal_(learnt.summary)
    former = Run(tmp_path / "former" / "editor", Editor(TINY, learnt), LoopConfig(1))
    former.save()
    settings = StageSettings(
        out=tmp_path, iterations=1, batch=2, num_latents=1, height=48, width=80, device="cpu",
        start=former.checkpoint,
    )  # fmt: skip
    given = materials()
    stages.train_teacher_forcing(settings, given)
    assert torch.equal(given.text.summary, learnt.summary)
    export_editor(TINY, tmp_path / "editor", tmp_path / "model.safetensors")
    again = tiny_text()
    load_weights(again, tmp_path / "text.safetensors")
    assert torch.allclose(again.summary, learnt.summary, atol=1e-2)


def test_an_export_takes_the_text_encoder_that_learnt_beside_the_editor(tmp_path: Path) -> None:
    """Catches a DiT shipped with the text encoder it no longer reads, and words nobody taught."""
    editor = Editor(TINY, tiny_text())
    Run(tmp_path / "editor", editor, LoopConfig(1)).save()
    export_editor(TINY, tmp_path / "editor", tmp_path / "model.safetensors")
    again = tiny_text()
    load_weights(again, tmp_path / "text.safetensors")
    assert editor.text is not None
    for got, wanted in zip(again.parameters(), editor.text.parameters(), strict=True):
        assert torch.allclose(got.float(), wanted, atol=1e-2)
    assert "hairstyle" in json.loads((tmp_path / "words.json").read_text())
