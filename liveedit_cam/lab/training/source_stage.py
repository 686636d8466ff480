"""Stage "source": teach the source encoder by pixel labels what each cell of a picture is, and its
maps where what an instruction names is.

No edit and no noise: one view of a picture teaches every labelled thing in it, and is asked for by
several instructions at the price of one. The head that names the parts is dropped afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.edits.regions import NUM_PARTS, PART_WEIGHTS
from liveedit_cam.lab.training.batches import LatentBatch, cells_of, lasting, part_shares
from liveedit_cam.lab.training.loop import Run
from liveedit_cam.lab.training.losses import named_loss, parts_loss
from liveedit_cam.lab.training.named import PictureMaker
from liveedit_cam.lab.training.settings import StageSettings
from liveedit_cam.lab.training.threaded import Losses, train_in_parts, twin
from liveedit_cam.model.codec import Codec
from liveedit_cam.model.config import ModelConfig
from liveedit_cam.model.dit import CausalDiT
from liveedit_cam.model.source_encoder import Match, SourceEncoder, folded, unfold
from liveedit_cam.model.text import TextEncoder
from liveedit_cam.model.weight_files import load_weights

SOURCE, SOURCE_FILE = "source", "source.safetensors"
"""Folder of the stage inside the runs' folder, and what it writes there."""
SIZES = ((176, 320), (176, 320), (144, 256))
"""Of the views, height and width in pixels."""
BATCH = 32
NUM_INSTRUCTIONS = 6
"""That ask for something in each view."""
NUM_STATISTICS = 40
"""Batches over which the norms' statistics are taken anew, for the mean weights."""


class Labeller(nn.Module):
    """The source encoder, its norms, its maps and a head that says what each latent cell is."""

    def __init__(self, config: ModelConfig) -> None:
        """Random weights. Raises UsageError for a size that has no source encoder."""
        super().__init__()
        if config.source_encoder is None:
            raise UsageError(
                f"got {config.name}, expected a size with a source encoder, such as nano"
            )
        self.encoder = SourceEncoder(config.source_encoder, config.latent_channels, normalises=True)
        self.match = Match(config.source_encoder, config.text.width)
        self.head = nn.Conv2d(config.source_encoder.widths[0], NUM_PARTS, 1)

    def forward(self, batch: LabelBatch) -> tuple[Tensor, Tensor]:
        """The losses of a batch: of what each cell is, and of where each named thing is."""
        features = self.encoder.of_latents(batch.latents)
        logits = self.head(features).permute(0, 2, 3, 1)
        parts = parts_loss(logits, batch.shares, logits.new_tensor(PART_WEIGHTS))
        sought = self.match.sought(batch.embeddings)
        found = self.match(features[batch.rows].unsqueeze(2), sought)[:, 0, 0]
        return parts, named_loss(found, batch.masks)


@dataclass(frozen=True, slots=True, eq=False)
class LabelBatch:
    """N views, and M instructions that name something in them."""

    latents: Tensor
    """(N, C, H, W)."""
    shares: Tensor
    """(N, H, W, NUM_PARTS): share of each cell that each part is."""
    rows: Tensor
    """The view each instruction is for, int64 (M,)."""
    embeddings: Tensor
    """(M, L, D)."""
    masks: Tensor
    """(M, H, W): share of each cell that is named."""


Drawer = Callable[[int], LabelBatch]
"""Draws the batch of an iteration, which it is given; the same however the run got there."""


def views_of(maker: PictureMaker, codec: Codec, text: TextEncoder, count: int) -> Drawer:
    """Draws ``count`` views of one latent, on a processor: nothing is edited."""

    @torch.no_grad()
    def draw(iteration: int) -> LabelBatch:
        maker.draws.begin(iteration)
        size, frames = SIZES[iteration % len(SIZES)], codec.config.frames_per_latent
        latents, middles, rows, prompts, masks = [], [], [], [], []
        for row in range(count):  # one by one: their blocks stay in the cache
            region, view = maker.view(frames, *size)
            pixels = lasting(torch.from_numpy(view.frames), frames).permute(3, 0, 1, 2)
            latents.append(codec.encode(pixels[None])[:, :, 0])
            middles.append(lasting(torch.from_numpy(view.parts()), frames)[frames // 2])
            pairs = maker.of_view(view, region, NUM_INSTRUCTIONS)
            asked = [pair for pair in pairs if pair.has_subject]
            rows += [row] * len(asked)
            prompts += [pair.prompt for pair in asked]
            masks += [cells_of(codec, [pair], [pair.subject])[0, 0] for pair in asked]
        shares = part_shares(torch.stack(middles), 2 * codec.config.spatial_stride)
        named = torch.tensor(rows), text(prompts), torch.stack(masks)
        return LabelBatch(torch.cat(latents), shares, *named)

    return draw


def sources_of(made: Iterator[LatentBatch], device: torch.device, text: TextEncoder) -> Drawer:
    """Takes what pairs show before their edit: for pairs that processes draw for a GPU."""

    @torch.no_grad()
    def draw(_iteration: int) -> LabelBatch:
        batch = next(made).to(device)
        assert batch.parts is not None, "pairs of pictures alone"
        latents, shares = batch.source.transpose(1, 2).flatten(0, 1), batch.parts.flatten(0, 1)
        asked, count = batch.has_subject.nonzero().flatten(), batch.source.shape[2]
        embeddings = text(batch.prompts)[asked].repeat_interleave(count, 0)
        rows = torch.arange(len(latents), device=device).unflatten(0, (-1, count))[asked].flatten()
        return LabelBatch(latents, shares, rows, embeddings, batch.subject[asked].flatten(0, 1))

    return draw


def train_labels(
    settings: StageSettings, device: torch.device, drawers_from: Callable[[int], Sequence[Drawer]]
) -> Run:
    """Train on batches that are shared by drawers, a thread for each; writes
    ``source.safetensors``: the encoder, folded, and its maps, in 16 bit.

    ``drawers_from`` makes them for a run that begins with the iteration it is given; they are asked
    for NUM_STATISTICS batches more.
    """
    torch.manual_seed(settings.seed)
    labeller = Labeller(settings.model_sizes()).to(device)
    folder, start = settings.out / SOURCE, settings.start
    if start is not None and start.is_dir() and not (folder / "checkpoint.pt").is_file():
        # by drawers of its own: those of the run begin with its first batch
        begin_at(labeller, settings.model_sizes(), start, drawers_from(0)[0](0).latents)
    run = Run(folder, labeller, settings.loop())
    drawers = drawers_from(run.iteration)
    twins = [twin(labeller) for _ in drawers]

    def loss_of(part: int, iteration: int) -> Losses:
        batch = drawers[part](iteration)
        with settings.precision(device):
            is_part, is_named = twins[part](batch)
        return is_part + is_named, {"parts": is_part.item(), "named": is_named.item()}

    train_in_parts(run, settings.threads, len(drawers), loss_of)
    mean = run.ema.module
    assert isinstance(mean, Labeller)
    take_statistics(mean.encoder, lambda number: drawers[0](settings.iterations + number).latents)
    network = {f"source_encoder.{name}": value for name, value in folded(mean.encoder).items()}
    network |= {f"match.{name}": value for name, value in mean.match.state_dict().items()}
    tensors = {name: value.half().contiguous() for name, value in network.items()}
    save_file(tensors, folder / SOURCE_FILE)
    return run


def begin_at(labeller: Labeller, config: ModelConfig, folder: Path, latents: Tensor) -> None:
    """Go on from the encoder and the maps of a model folder; the head begins anew.

    ``latents`` (N, C, H, W) are such as it will see. Raises WeightsError.
    """
    dit = CausalDiT(config)
    load_weights(dit, folder / "model.safetensors")
    assert dit.source_encoder is not None
    assert dit.match is not None
    unfold(labeller.encoder, dit.source_encoder.state_dict(), latents)
    labeller.match.load_state_dict(dit.match.state_dict())


@torch.no_grad()
def take_statistics(encoder: SourceEncoder, latents: Callable[[int], Tensor]) -> None:
    """Measure what the norms see under the weights as they are now: a mean of weights saw none."""
    norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over what follows
    encoder.train()
    for iteration in range(NUM_STATISTICS):
        encoder.of_latents(latents(iteration))
    encoder.eval()
