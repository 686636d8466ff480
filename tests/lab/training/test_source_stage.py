"""Stage "source": what cells are and what is named, a run that resumes, and an editor that begins
from it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from labelled import write_pictures
from safetensors.torch import save_file
from tiny_model import TINY, tiny_codec, tiny_dit, tiny_text
from torch import nn

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.edits.drawn import drawn_clips
from liveedit_cam.lab.edits.instructions import plain_palette
from liveedit_cam.lab.edits.pictures import load_pictures
from liveedit_cam.lab.edits.regions import NUM_PARTS, UNKNOWN
from liveedit_cam.lab.training import source_stage, stages
from liveedit_cam.lab.training.batches import cells_of, collate, part_shares
from liveedit_cam.lab.training.loop import Run
from liveedit_cam.lab.training.losses import named_loss
from liveedit_cam.lab.training.materials import Materials, clip_makers
from liveedit_cam.lab.training.named import PictureMaker
from liveedit_cam.lab.training.settings import StageSettings
from liveedit_cam.lab.training.source_stage import (
    NUM_INSTRUCTIONS,
    Labeller,
    sources_of,
    views_of,
)
from liveedit_cam.model.config import ModelConfig, SourceEncoderConfig
from liveedit_cam.model.source_encoder import Match, SourceEncoder
from liveedit_cam.model.weight_files import load_weights, packed

SEEING = replace(TINY, source_encoder=SourceEncoderConfig((6, 8, 12), (1, 1, 1)))


@pytest.fixture
def few_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (source_stage, stages):
        monkeypatch.setattr(module, "NUM_STATISTICS", 2)
    monkeypatch.setattr(source_stage, "SIZES", ((48, 80),))


def made_with(folder: Path, config: ModelConfig, **given: object) -> StageSettings:
    folder.mkdir(exist_ok=True)
    file = folder / "config.json"
    file.write_text(json.dumps(config.to_dict()))
    values: dict[str, object] = {
        "model": str(file), "out": folder, "batch": 4, "parts": 2, "threads": 2, "muon": False,
        "log_every": 1, "device": "cpu", "learning_rate": 1e-12, "decay_share": 0.01,
    }  # fmt: skip
    return StageSettings.model_validate({**values, **given})


def model_folder(folder: Path, config: ModelConfig) -> Path:
    """One to start from, whose head says something."""
    former = folder / "former"
    former.mkdir()
    (former / "config.json").write_text(json.dumps(config.to_dict()))
    dit = tiny_dit(config)
    torch.nn.init.normal_(dit.head.head.weight)
    save_file(packed(dit.state_dict()), former / "model.safetensors")
    return former


def materials(config: ModelConfig, pictures: Path | None) -> Materials:
    codec, text = tiny_codec().requires_grad_(False), tiny_text().requires_grad_(False)
    found = () if pictures is None else tuple(load_pictures(pictures, "train"))
    return Materials(config, codec, text, (), drawn_clips(2, 0), plain_palette(), found)


def test_shares_are_those_of_every_part_counted_by_itself() -> None:
    """Catches counts of a neighbouring cell, and unknown pixels taken for a part."""
    drawn = torch.Generator().manual_seed(0)
    ids = torch.randint(0, NUM_PARTS, (2, 3, 32, 48), generator=drawn, dtype=torch.uint8)
    ids[0, 1, :20, :20] = UNKNOWN
    plain = torch.stack([F.avg_pool2d((ids == p).float(), 16) for p in range(NUM_PARTS)], dim=-1)
    assert torch.equal(part_shares(ids, 16), plain)
    assert float(part_shares(ids, 16)[0, 1, 0, 0].sum()) == 0


@pytest.mark.usefixtures("few_statistics")
def test_it_goes_on_from_a_model_folder(tmp_path: Path) -> None:
    """Catches an encoder that begins anew though a model to start from was named."""
    pictures = tmp_path / "pictures"
    write_pictures(pictures)
    former = model_folder(tmp_path, SEEING)
    settings = made_with(
        tmp_path / "runs", SEEING, iterations=1, num_latents=1, height=48, width=80, start=former
    )
    threads = torch.get_num_threads()
    try:
        stages.train_source(settings, materials(SEEING, pictures))
    finally:
        torch.set_num_threads(threads)
    assert SEEING.source_encoder is not None
    before, after = (SourceEncoder(SEEING.source_encoder, SEEING.latent_channels) for _ in range(2))
    whole = tiny_dit(SEEING)
    load_weights(whole, former / "model.safetensors")
    assert whole.source_encoder is not None
    before.load_state_dict(whole.source_encoder.state_dict())
    match = Match(SEEING.source_encoder, SEEING.text.width)
    both = nn.ModuleDict({"source_encoder": after, "match": match})
    load_weights(both, tmp_path / "runs" / "source" / "source.safetensors")
    learnt = after.state_dict()
    filters = {name: rows for name, rows in before.state_dict().items() if rows.ndim > 1}
    assert len(filters) > 5
    for name, rows in filters.items():  # each up to its scale: a norm of other views is folded in
        alike = nn.functional.cosine_similarity(learnt[name].flatten(1), rows.flatten(1))
        assert alike.min().item() > 0.999, name


@pytest.mark.slow
@pytest.mark.usefixtures("few_statistics")
@pytest.mark.parametrize("workers", [0, 1], ids=["threads", "processes"])
def test_it_resumes_and_leaves_a_folded_encoder(tmp_path: Path, workers: int) -> None:
    """Catches draws that depend on where a run was cut, statistics of weights that are not the
    ones written, and a file that the editor cannot read.
    """
    pictures = tmp_path / "pictures"
    write_pictures(pictures)
    threads = torch.get_num_threads()

    def train(folder: Path, iterations: int) -> Run:
        settings = made_with(
            folder, SEEING, iterations=iterations, workers=workers, num_latents=1, height=48,
            width=80,
        )  # fmt: skip
        try:
            return stages.train_source(settings, materials(SEEING, pictures))
        finally:
            torch.set_num_threads(threads)

    def losses(folder: Path) -> list[float]:
        lines = (folder / "source" / "log.jsonl").read_text().splitlines()
        return [json.loads(line)["loss"] for line in lines]

    run = train(tmp_path / "whole", 3)
    train(tmp_path / "cut", 2)
    train(tmp_path / "cut", 3)
    assert len(losses(tmp_path / "whole")) == 3
    assert torch.allclose(
        torch.tensor(losses(tmp_path / "whole")), torch.tensor(losses(tmp_path / "cut")), rtol=1e-4
    )
    assert SEEING.source_encoder is not None
    plain = SourceEncoder(SEEING.source_encoder, SEEING.latent_channels)
    match = Match(SEEING.source_encoder, SEEING.text.width)
    both = nn.ModuleDict({"source_encoder": plain, "match": match})
    load_weights(both, tmp_path / "whole" / "source" / "source.safetensors")
    mean = run.ema.module
    assert isinstance(mean, Labeller)
    assert torch.allclose(match.query.weight, mean.match.query.weight, atol=1e-3)
    latents = torch.randn(2, SEEING.latent_channels, 6, 10)
    with torch.no_grad():
        wanted = mean.encoder.of_latents(latents)
        assert torch.allclose(
            plain.of_latents(latents), wanted, atol=2e-2 * float(wanted.abs().max())
        )


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """Catches a traceback for a forgotten folder or a size without an encoder."""
    with pytest.raises(UsageError, match="got no pictures"):
        stages.train_source(made_with(tmp_path, SEEING, iterations=1), materials(SEEING, None))
    with pytest.raises(UsageError, match="a size with a source encoder"):
        Labeller(TINY)


def test_a_view_is_asked_for_what_is_in_it(tmp_path: Path) -> None:
    """Catches a mask of another instruction's view, and embeddings in another order than the
    masks: drawn here or by processes, whole-picture looks left out.
    """
    write_pictures(tmp_path)
    given = materials(SEEING, tmp_path)
    (old,) = clip_makers(made_with(tmp_path, SEEING), given, 1)
    maker = PictureMaker(given.pictures, given.palette, old)
    batch = views_of(maker, given.codec, given.text, 3)(5)
    maker.draws.begin(5)
    size, wanted = source_stage.SIZES[5 % len(source_stage.SIZES)], []
    for row in range(3):
        region, view = maker.view(given.codec.config.frames_per_latent, *size)
        for pair in maker.of_view(view, region, NUM_INSTRUCTIONS):
            if pair.has_subject:
                mask = cells_of(given.codec, [pair], [pair.subject])[0, 0]
                wanted.append((row, pair.prompt, mask))
    assert batch.rows.tolist() == [row for row, _, _ in wanted]
    assert torch.equal(batch.embeddings, given.text([prompt for _, prompt, _ in wanted]))
    assert torch.equal(batch.masks, torch.stack([mask for _, _, mask in wanted]))

    pairs = collate(maker.pairs(6, 2, given.codec.config.frames_per_latent, 48, 80), given.codec)
    drawn = sources_of(iter([pairs]), torch.device("cpu"), given.text)(0)
    named = [pair for pair in range(6) if pairs.has_subject[pair]]
    assert drawn.rows.tolist() == [2 * pair + latent for pair in named for latent in (0, 1)]
    said = given.text([pairs.prompts[pair] for pair in named for _ in (0, 1)])
    assert torch.allclose(drawn.embeddings, said, atol=1e-6)
    assert torch.equal(drawn.masks, pairs.subject[named].flatten(0, 1))


def test_a_small_thing_counts_like_a_large_one() -> None:
    """Catches a loss under which to find nothing is nearly as good as to find what is small, and
    something asked for where it is not made a division by nothing.
    """
    masks = torch.zeros(3, 20, 32)
    masks[0, :2, :2] = masks[1, 10:] = 1
    right, nothing = (masks - 0.5) * 20, torch.full_like(masks, -10)
    assert float(named_loss(right, masks)) < 0.01
    small = named_loss(torch.stack((nothing[0], right[1], right[2])), masks)
    large = named_loss(torch.stack((right[0], nothing[1], right[2])), masks)
    assert 0.45 < float(small) < float(large)
    assert float(named_loss(nothing[2:], masks[2:])) < 0.01


@pytest.mark.parametrize("config", [TINY, SEEING], ids=["without", "with"])
def test_an_editor_begins_with_the_encoder_that_was_taught(
    tmp_path: Path, config: ModelConfig
) -> None:
    """Catches an encoder forgotten or trained on where it should stay, one of the folder begun from
    written over it, and a folder without one refused.
    """
    torch.manual_seed(3)
    sizes = SEEING.source_encoder or SourceEncoderConfig()
    taught = SourceEncoder(sizes, SEEING.latent_channels)
    match = Match(sizes, SEEING.text.width)
    (tmp_path / "source").mkdir()
    both = nn.ModuleDict({"source_encoder": taught, "match": match})
    save_file(
        {name: value.contiguous() for name, value in both.state_dict().items()},
        tmp_path / "source" / "source.safetensors",
    )
    former = model_folder(tmp_path, config)
    before = tiny_dit(config)
    load_weights(before, former / "model.safetensors")

    settings = made_with(
        tmp_path, SEEING, iterations=2, start=former, source_rate=0.0, learning_rate=1e-2,
        num_latents=1, height=48, width=80, parts=1, threads=1,
    )  # fmt: skip
    run = stages.train_teacher_forcing(settings, materials(SEEING, None))
    dit = run.main.module.dit
    after = {name: value.detach() for name, value in dit.named_parameters()}
    for name, value in taught.named_parameters():
        assert torch.equal(after[f"source_encoder.{name}"], value), name
    moved = after["match.query.weight"] - match.query.weight.detach()
    assert float(moved.abs().max()) < 0.05  # two updates away from what was taught
    head = after["head.head.weight"]
    assert float((head - before.head.head.weight).abs().mean()) < 0.1
    assert float(after["source_embedding.weight"].abs().max()) > 0
