"""The stages put together: data, networks, start weights and loss of each, from its settings."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.edits.clips import load_clips
from liveedit_cam.lab.edits.drawn import drawn_clips
from liveedit_cam.lab.edits.instructions import survey_palette
from liveedit_cam.lab.edits.pictures import load_pictures
from liveedit_cam.lab.training.batches import (
    CURRICULUM,
    NUM_DRAWN,
    PICTURE_CURRICULUM,
    LatentBatch,
    Phase,
    Plan,
    batches,
)
from liveedit_cam.lab.training.dmd import Dmd
from liveedit_cam.lab.training.editor import Editor
from liveedit_cam.lab.training.foundation import Foundation
from liveedit_cam.lab.training.loop import Run, Trainee
from liveedit_cam.lab.training.losses import channel_weights
from liveedit_cam.lab.training.materials import (
    Materials,
    clip_makers,
    makers,
    picture_makers,
)
from liveedit_cam.lab.training.parcels import drawn_beside
from liveedit_cam.lab.training.processes import own_seed
from liveedit_cam.lab.training.settings import StageSettings
from liveedit_cam.lab.training.source_stage import (
    BATCH,
    NUM_STATISTICS,
    SOURCE,
    SOURCE_FILE,
    Drawer,
    sources_of,
    train_labels,
    views_of,
)
from liveedit_cam.lab.training.teacher_forcing import TeacherForcing
from liveedit_cam.lab.training.threaded import Losses, train_in_parts, twin
from liveedit_cam.model.codec import Codec
from liveedit_cam.model.dit import CausalDiT
from liveedit_cam.model.text import TextEncoder
from liveedit_cam.model.weight_files import load_weights
from liveedit_cam.model.weights import choose_device, read_config

FOUNDATION, TEACHER_FORCING, DMD = "foundation", "editor", "dmd"
"""Folders of the stages inside the runs' folder."""


def gather(settings: StageSettings, codec: Codec, text: TextEncoder) -> Materials:
    """Frozen networks, the clips (none without ``media``) and the colour names."""
    clips = (
        []
        if settings.media is None
        else load_clips(settings.media, "train", settings.out / "clips")
    )
    return Materials(
        settings.model_sizes(),
        codec.requires_grad_(False),
        text.requires_grad_(False).eval().to(_device(settings)),
        clips,
        drawn_clips(NUM_DRAWN, settings.seed),
        survey_palette(),
        ()
        if settings.pictures is None
        else load_pictures(settings.pictures, "train", settings.media),
    )


def train_source(settings: StageSettings, materials: Materials) -> Run:
    """Stage 0, for sizes with a source encoder. Raises UsageError where pictures are missing."""
    if not materials.pictures:
        raise UsageError(
            "got no pictures, expected a folder of pictures with pixel labels",
            hint="Name it with pictures = ... in the file given with --config.",
        )
    device = _device(settings)

    def drawers_from(first: int) -> list[Drawer]:
        if device.type == "cpu" and not settings.workers:
            olds = clip_makers(settings, materials, settings.parts)
            count = (settings.batch or BATCH) // settings.parts
            news = picture_makers(settings, materials, olds)
            return [views_of(new, materials.codec, materials.text, count) for new in news]
        total, alone = settings.iterations + NUM_STATISTICS, {"picture_share": 1.0}
        made = _batches(settings.model_copy(update=alone), materials, first, total, _flat(settings))
        return [sources_of(made, device, materials.text)]

    return train_labels(settings, device, drawers_from)


def train_foundation(settings: StageSettings, materials: Materials) -> Run:
    """Stage 1; starts from random weights unless ``start`` names a checkpoint."""
    torch.manual_seed(settings.seed)
    editor = _new_editor(settings, materials, settings.start)
    run = Run(settings.out / FOUNDATION, editor, settings.loop())
    seed = own_seed(settings.seed)
    stage = Foundation(materials.config, materials.text, _weights(settings, materials), seed)
    made = _batches(settings, materials, run.iteration, settings.iterations, _flat(settings))
    return _train(settings, run, stage, editor, made)


def train_teacher_forcing(settings: StageSettings, materials: Materials) -> Run:
    """Stage 2; starts from random weights unless ``start`` names a checkpoint."""
    torch.manual_seed(settings.seed)
    editor = _new_editor(settings, materials, settings.start)
    if settings.text_rate:
        editor.text = copy.deepcopy(materials.text).requires_grad_(True)
    run = Run(settings.out / TEACHER_FORCING, editor, settings.loop())
    seed = own_seed(settings.seed)
    stage = TeacherForcing(
        materials.config,
        materials.text,
        _weights(settings, materials),
        seed,
        settings.rollout_share,
        settings.first_step_share,
    )
    curriculum: Sequence[Phase] = PICTURE_CURRICULUM if materials.pictures else CURRICULUM
    if settings.batch is not None and materials.pictures:
        curriculum = tuple(replace(phase, batch=settings.batch) for phase in curriculum)
    elif settings.batch is not None:
        curriculum = _flat(settings)
    if settings.parts > 1:
        return _train_in_parts(settings, run, materials, editor, curriculum)
    made = _batches(settings, materials, run.iteration, settings.iterations, curriculum)
    return _train(settings, run, stage, editor, made)


def _train_in_parts(
    settings: StageSettings,
    run: Run,
    materials: Materials,
    editor: Editor,
    curriculum: Sequence[Phase],
) -> Run:
    """Stage 2 with every batch in parts: each makes its pairs and its gradients on one thread."""
    torch.set_num_threads(settings.threads)  # of the update alone, between two iterations
    parts = settings.parts
    small = tuple(replace(p, batch=max(1, p.batch // parts)) for p in curriculum)
    drawn, expected = makers(settings, materials, parts)
    frames = materials.config.codec.frames_per_latent
    workers = []
    for part, maker in enumerate(drawn):
        plan = Plan(maker, small, settings.iterations, frames)
        made = batches(plan, materials.codec, run.iteration, expected)
        stage = TeacherForcing(
            materials.config,
            materials.text,
            _weights(settings, materials),
            own_seed(settings.seed) + part,
            settings.rollout_share,
            settings.first_step_share,
        )
        workers.append((stage, twin(editor), made))

    def loss_of(part: int, iteration: int) -> Losses:
        stage, its_editor, its_batches = workers[part]
        stage.draws.begin(iteration)
        batch = next(its_batches)
        with settings.precision(_device(settings)):
            return stage(its_editor, batch)

    train_in_parts(run, settings.threads, parts, loss_of)
    return run


def train_dmd(settings: StageSettings, materials: Materials) -> Run:
    """Stage 3; the student starts as stage 2, both scores start as stage 1.

    Raises UsageError where one of them has not run.
    """
    torch.manual_seed(settings.seed)
    student_from = settings.start or settings.out / TEACHER_FORCING / "checkpoint.pt"
    student = _new_editor(settings, materials, student_from)
    teacher = settings.out / FOUNDATION / "checkpoint.pt"
    real = _new_editor(settings, materials, teacher)
    fake = _new_editor(settings, materials, teacher)
    run = Run(settings.out / DMD, student, settings.loop(), {"critic": fake})
    per_iteration = 6  # five batches for the critic, one for the student
    made = _batches(
        settings,
        materials,
        run.iteration * per_iteration,
        settings.iterations * per_iteration,
        _flat(settings),
    )
    device = _device(settings)
    critic: Trainee = run.others["critic"]
    stage = Dmd(
        materials.config,
        materials.text,
        _weights(settings, materials),
        real,
        critic,
        lambda: next(made).to(device),
        own_seed(settings.seed),
        settings.guidance,
        settings.seed,
    )
    with settings.precision(device):
        run.train(lambda iteration: stage(student, iteration))
    return run


def _train(
    settings: StageSettings,
    run: Run,
    stage: Foundation | TeacherForcing,
    editor: Editor,
    made: Iterator[LatentBatch],
) -> Run:
    """Train ``editor`` by a stage that takes a batch an iteration."""
    device = _device(settings)

    def loss_of(iteration: int) -> tuple[Tensor, dict[str, float]]:
        stage.draws.begin(iteration)
        began = time.monotonic()
        batch = next(made).to(device)
        waited = time.monotonic() - began
        with settings.precision(device):
            loss, values = stage(editor, batch)
        return loss, {**values, "s_for_batch": waited}

    run.train(loss_of)
    return run


def _new_editor(settings: StageSettings, materials: Materials, start: Path | None) -> Editor:
    """An Editor on the device, with the mean weights of checkpoint ``start`` where one is named.

    A text encoder that learnt there takes the place of ``materials.text``, and is kept frozen.
    """
    editor = Editor(materials.config)
    if editor.dit.source_encoder is not None:
        editor.dit.source_encoder.requires_grad_(settings.source_rate > 0)
    if start is not None:
        if not start.exists():
            raise UsageError(
                f"got no {start}, expected the checkpoint of another stage",
                hint="Run `liveedit-cam train foundation` and `train teacher-forcing` first, or "
                "name a checkpoint.pt with start.",
            )
        try:
            if start.is_dir():
                _load_folder(editor.dit, start)
            else:
                state = torch.load(start, weights_only=True, map_location="cpu")["ema"]
                if any(name.startswith("text.") for name in state):  # it learnt beside the editor
                    editor.text = materials.text
                editor.load_state_dict(state)
        except RuntimeError as error:
            raise UsageError(f"got {start}, which is of another model ({error})") from error
    taught = settings.out / SOURCE / SOURCE_FILE
    is_begun = start is not None and not start.is_dir()  # a checkpoint's may have learnt on
    encoder, match = editor.dit.source_encoder, editor.dit.match
    if encoder is not None and match is not None and taught.is_file() and not is_begun:
        load_weights(nn.ModuleDict({"source_encoder": encoder, "match": match}), taught)
    return editor.float().to(_device(settings))


def _load_folder(dit: CausalDiT, folder: Path) -> None:
    """The weights of a model folder; one without a source encoder leaves that as it is."""
    path = folder / "model.safetensors"
    if dit.source_encoder is None or read_config(folder / "config.json").source_encoder is not None:
        load_weights(dit, path)
        return
    bare = CausalDiT(replace(dit.config, source_encoder=None))
    load_weights(bare, path)
    dit.load_state_dict(bare.state_dict(), strict=False)


def _weights(settings: StageSettings, materials: Materials) -> Tensor:
    return channel_weights(materials.codec.scale).to(_device(settings))


def _flat(settings: StageSettings) -> tuple[Phase, ...]:
    """One kind of batch all along."""
    size = (settings.height, settings.width)
    return (Phase(1.0, settings.num_latents, settings.batch or 6, (size,)),)


def _batches(
    settings: StageSettings,
    materials: Materials,
    first: int,
    total: int,
    curriculum: Sequence[Phase],
) -> Iterator[LatentBatch]:
    (maker,), expected = makers(settings, materials, 1)
    plan = Plan(maker, curriculum, total, materials.config.codec.frames_per_latent)
    device = _device(settings)
    codec = materials.codec.to(device)
    if workers := max(settings.workers, 0 if device.type == "cpu" else 1):
        return drawn_beside(plan, codec, first, workers, expected)
    return batches(plan, codec, first, expected)


def _device(settings: StageSettings) -> torch.device:
    return choose_device(settings.device)
