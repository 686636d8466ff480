"""Part on the three stages (the paper's table 2): evaluations, guidance, quality, seconds.

Every stage edits the same latents of the same clips, without mask cache, and is decoded and
composited alike; codec and text encoder are the model's own, so the stages must be of that model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

import numpy as np
import torch
from torch import Tensor

from liveedit_cam.compositing import put_on
from liveedit_cam.errors import UsageError
from liveedit_cam.lab.ablations.cases import LOCAL, WHOLE, Case
from liveedit_cam.lab.ablations.clock import BlockClock
from liveedit_cam.lab.ablations.records import StageRow
from liveedit_cam.lab.ablations.rig import LoadedNano, Setup, small_frames
from liveedit_cam.lab.evaluation.benchmark import Video, as_tensor
from liveedit_cam.lab.evaluation.metrics import PictureFigures, picture_figures
from liveedit_cam.lab.evaluation.rivals import Judge
from liveedit_cam.lab.training.dmd import GUIDANCE
from liveedit_cam.lab.training.editor import Editor
from liveedit_cam.lab.training.foundation import NO_TEXT
from liveedit_cam.lab.training.stages import DMD, FOUNDATION, TEACHER_FORCING
from liveedit_cam.model import ModelConfig
from liveedit_cam.model.codec import CodecStream
from liveedit_cam.model.dit import CausalDiT, TextKV
from liveedit_cam.model.field import bind, fit
from liveedit_cam.model.generator import denoise_chunk
from liveedit_cam.model.sampling import new_cache, sample_causal, sample_offline
from liveedit_cam.model.schedule import FlowSchedule
from liveedit_cam.types import ModelFrame

NUM_CHUNKS = 3
"""Of a clip: the paper's stages were trained on 7, ours on 3."""
OFFLINE_STEPS = 50
GUIDED = GUIDANCE + 1.0
"""The scale of the teacher, x0 = u + scale (c - u)."""

Text = list[TextKV]
Edit = Callable[[CausalDiT, Tensor, Text, Text], Tensor]
"""DiT, source latents (1, C, T, h, w), instruction, no instruction -> edited latents."""


@dataclass(frozen=True, slots=True)
class Sampler:
    """One line of the table."""

    stage: str
    folder: str | None
    """Folder of its run; None = the model's own weights."""
    name: str
    nfe: int
    guidance: float
    edit: Edit


def samplers(config: ModelConfig) -> tuple[Sampler, ...]:
    """Each stage as the paper runs it, and stage 2 as it runs live."""

    def slow(sample: Callable[..., Tensor], guidance: float) -> Edit:
        def edit(dit: CausalDiT, source: Tensor, text: Text, no_text: Text) -> Tensor:
            return sample(
                dit,
                source,
                text,
                no_text,
                num_steps=OFFLINE_STEPS,
                guidance=guidance,
                shift=config.shift,
                noise=_noise(),
            )

        return edit

    few = len(config.timesteps)
    foundation, forcing = "1 foundation", "2 teacher forcing"
    return (
        *(
            Sampler(stage, folder, name, evaluations, guidance, slow(sample, guidance))
            for stage, folder, name, sample in (
                (foundation, FOUNDATION, "whole clip", sample_offline),
                (forcing, TEACHER_FORCING, "chunk by chunk", sample_causal),
            )
            for evaluations, guidance in ((2 * OFFLINE_STEPS, GUIDED), (OFFLINE_STEPS, 1.0))
        ),
        Sampler(forcing, TEACHER_FORCING, "live", few, 1.0, sample_live),
        Sampler("3 DMD", DMD, "live", few, 1.0, sample_live),
        Sampler("the model itself", None, "live", few, 1.0, sample_live),
    )


def stages_part(setup: Setup) -> tuple[StageRow, ...]:
    """What does each stage of the training bring, and what does it cost to sample it?"""
    cases = setup.cases((LOCAL, WHOLE), per_clip=1)
    lines = samplers(setup.networks.config)
    setup.steps.begin(len(lines) * len(cases))
    rows = []
    for line in lines:
        missing = _missing(setup.runs, line)
        if missing is None:
            rows.append(_measure(setup, line, cases))
        else:
            print(f"not run: needs {missing}")
            rows.append(StageRow(line.stage, line.name, line.nfe, line.guidance, str(missing)))
            for _ in cases:
                setup.steps.advance()
    return tuple(rows)


def checkpoints_stamp(runs: Path) -> str:
    """Tells the checkpoints that are there from later ones."""
    stamps = []
    for folder in (FOUNDATION, TEACHER_FORCING, DMD):
        path = checkpoint(runs, folder)
        facts = path.stat() if path.is_file() else None
        stamps.append("none" if facts is None else f"{facts.st_size}/{int(facts.st_mtime)}")
    return " ".join(stamps)


def checkpoint(runs: Path, folder: str) -> Path:
    """Where a stage keeps its newest weights."""
    return runs / folder / "checkpoint.pt"


def _missing(runs: Path, line: Sampler) -> Path | None:
    if line.folder is None or checkpoint(runs, line.folder).is_file():
        return None
    return checkpoint(runs, line.folder)


def _measure(setup: Setup, line: Sampler, cases: Sequence[Case]) -> StageRow:
    networks = setup.networks
    dit = networks.dit
    if line.folder is not None:
        dit = load_stage(checkpoint(setup.runs, line.folder), networks)
    figures, right, seconds = [], [], []
    for case in cases:
        output, chunk_s = edit_clip(networks, dit, line.edit, case)
        seconds.append(chunk_s)
        source, target, mask = case.exact(0, len(output))
        figures.append(picture_figures(as_tensor(output), source, target, mask))
        subject = as_tensor(case.clip.subject[: len(output)])
        judge = Judge(source, subject, case.spec, has_subject=case.clip.has_subject)
        right.append(judge.answer(as_tensor(output)).is_right)
        setup.steps.advance()
    return StageRow(
        line.stage,
        line.name,
        line.nfe,
        line.guidance,
        whole_db=fmean(one.whole_db for one in figures),
        inside_db=_mean_inside(figures),
        right_rate=fmean(right),
        chunk_s=median(seconds),
    )


def _mean_inside(figures: Sequence[PictureFigures]) -> float | None:
    values = [one.inside_db for one in figures if one.inside_db is not None]
    return fmean(values) if values else None


def load_stage(path: Path, networks: LoadedNano) -> CausalDiT:
    """The mean weights of a stage's checkpoint. Raises UsageError for one of another model."""
    editor = Editor(networks.config)
    try:
        editor.load_state_dict(torch.load(path, weights_only=True, map_location="cpu")["ema"])
    except (RuntimeError, KeyError) as error:
        raise UsageError(
            f"got {path}, which is no checkpoint of {networks.config.name} ({error})",
            hint="Name the folder of that model's runs with --runs.",
        ) from error
    return editor.dit.to(networks.device, networks.dtype).eval().requires_grad_(False)


@torch.inference_mode()
def edit_clip(networks: LoadedNano, dit: CausalDiT, edit: Edit, case: Case) -> tuple[Video, float]:
    """Output of the first chunks, uint8 (T, H, W, 3), and seconds per chunk of latents alone."""
    config, codec = networks.config, CodecStream(networks.codec)
    frames = case.source(0, codec.frames_for(NUM_CHUNKS * config.chunk_latents))
    small = small_frames(frames, config)
    pixels = torch.from_numpy(small).to(networks.device).float() / 255
    source = codec.encode(pixels.permute(3, 0, 1, 2).unsqueeze(0))
    embedded = networks.text([case.prompt, NO_TEXT]).to(networks.device, networks.dtype)
    text, no_text = dit.text_kv(embedded[:1]), dit.text_kv(embedded[1:])
    clock = BlockClock(networks.device)
    began = clock.read()
    x0 = edit(dit, source, text, no_text)
    seconds = clock.read() - began
    before, after = codec.decode(torch.cat((source, x0))).transpose(1, 2).float()
    fields = bind(fit(before, after), [ModelFrame(one, t, 0.0) for t, one in enumerate(small)], 0)
    edited = np.stack([put_on(one, field) for one, field in zip(frames, fields, strict=True)])
    return edited, seconds / NUM_CHUNKS


def sample_live(dit: CausalDiT, source: Tensor, text: Text, no_text: Text) -> Tensor:
    """Chunk by chunk by the model's own few steps, as live but without mask cache."""
    config = dit.config
    cache, schedule = new_cache(dit, source), FlowSchedule(config.timesteps, config.shift)
    noise = _noise()
    chunks = [
        denoise_chunk(dit, part, text, schedule, cache, None, noise)
        for part in source.split(config.chunk_latents, dim=2)
    ]
    return torch.cat(chunks, dim=2)


def _noise() -> torch.Generator:
    """Always the same, drawn on the processor."""
    return torch.Generator().manual_seed(0)
