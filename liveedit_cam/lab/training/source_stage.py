"""Stage "source": teach the source encoder what each cell of a picture is, by pixel labels alone.

No instruction and no edit: one view of a picture teaches every labelled thing in it, which an edit
of one of them does not. The head that names the parts is dropped afterwards.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import fmean

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.edits.regions import NUM_PARTS, PART_WEIGHTS
from liveedit_cam.lab.training.batches import LatentBatch, lasting, part_shares
from liveedit_cam.lab.training.loop import Run
from liveedit_cam.lab.training.losses import parts_loss
from liveedit_cam.lab.training.named import PictureMaker
from liveedit_cam.lab.training.settings import StageSettings
from liveedit_cam.model.codec import Codec
from liveedit_cam.model.config import ModelConfig
from liveedit_cam.model.source_encoder import SourceEncoder, folded

SOURCE, SOURCE_FILE = "source", "source.safetensors"
"""Folder of the stage inside the runs' folder, and what it writes there."""
SIZES = ((176, 320), (176, 320), (144, 256))
"""Of the views, height and width in pixels."""
BATCH = 32
NUM_STATISTICS = 40
"""Batches over which the norms' statistics are taken anew, for the mean weights."""


class Labeller(nn.Module):
    """The source encoder, its norms and a head that says what each latent cell is."""

    def __init__(self, config: ModelConfig) -> None:
        """Random weights. Raises UsageError for a size that has no source encoder."""
        super().__init__()
        if config.source_encoder is None:
            raise UsageError(
                f"got {config.name}, expected a size with a source encoder, such as nano"
            )
        self.encoder = SourceEncoder(config.source_encoder, config.latent_channels, normalises=True)
        self.head = nn.Conv2d(config.source_encoder.widths[0], NUM_PARTS, 1)

    def forward(self, source: Tensor) -> Tensor:
        """Latents (N, C, H, W) to logits (N, H, W, NUM_PARTS)."""
        logits: Tensor = self.head(self.encoder.of_latents(source))
        return logits.permute(0, 2, 3, 1)


LabelBatch = tuple[Tensor, Tensor]
"""Latents (N, C, H, W), and the share of each cell that each part is, (N, H, W, NUM_PARTS)."""
Drawer = Callable[[int], LabelBatch]
"""Draws the batch of an iteration, which it is given; the same however the run got there."""


def views_of(maker: PictureMaker, codec: Codec, count: int) -> Drawer:
    """Draws ``count`` views of one latent, on a processor: nothing is edited."""

    @torch.no_grad()
    def draw(iteration: int) -> LabelBatch:
        maker.draws.begin(iteration)
        size, frames = SIZES[iteration % len(SIZES)], codec.config.frames_per_latent
        latents, middles = [], []
        for _ in range(count):  # one by one: their blocks stay in the cache
            _, view = maker.view(frames, *size)
            pixels = lasting(torch.from_numpy(view.frames), frames).permute(3, 0, 1, 2)
            latents.append(codec.encode(pixels[None])[:, :, 0])
            middles.append(lasting(torch.from_numpy(view.parts()), frames)[frames // 2])
        shares = part_shares(torch.stack(middles), 2 * codec.config.spatial_stride)
        return torch.cat(latents), shares

    return draw


def sources_of(made: Iterator[LatentBatch], device: torch.device) -> Drawer:
    """Takes what pairs show before their edit: for pairs that processes draw for a GPU."""

    def draw(_iteration: int) -> LabelBatch:
        batch = next(made).to(device)
        assert batch.parts is not None, "pairs of pictures alone"
        return batch.source.transpose(1, 2).flatten(0, 1), batch.parts.flatten(0, 1)

    return draw


def train_labels(
    settings: StageSettings, device: torch.device, drawers_from: Callable[[int], Sequence[Drawer]]
) -> Run:
    """Train on batches that are shared by drawers, a thread for each; writes
    ``source.safetensors``, folded and in 16 bit.

    ``drawers_from`` makes them for a run that begins with the iteration it is given; they are asked
    for NUM_STATISTICS batches more.
    """
    torch.manual_seed(settings.seed)
    labeller = Labeller(settings.model_sizes()).to(device)
    run = Run(settings.out / SOURCE, labeller, settings.loop())
    drawers = drawers_from(run.iteration)
    shared = {id(parameter): parameter for parameter in labeller.parameters()}
    twins = [copy.deepcopy(labeller, dict(shared)) for _ in drawers]
    weights = torch.tensor(PART_WEIGHTS, device=device)

    def work(part: int, iteration: int) -> float:
        latents, shares = drawers[part](iteration)
        with settings.precision(device):
            loss = parts_loss(twins[part](latents), shares, weights)
        (loss / len(drawers)).backward()
        return loss.item()

    with ThreadPoolExecutor(
        settings.threads, initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:

        def loss_of(iteration: int) -> tuple[Tensor, dict[str, float]]:
            parts = range(len(drawers))
            return torch.tensor(fmean(pool.map(work, parts, [iteration] * len(parts)))), {}

        run.train(loss_of)
    mean = run.ema.module
    assert isinstance(mean, Labeller)
    take_statistics(mean, lambda number: drawers[0](settings.iterations + number)[0])
    tensors = {name: value.half().contiguous() for name, value in folded(mean.encoder).items()}
    save_file(tensors, settings.out / SOURCE / SOURCE_FILE)
    return run


@torch.no_grad()
def take_statistics(labeller: Labeller, latents: Callable[[int], Tensor]) -> None:
    """Measure what the norms see under the weights as they are now: a mean of weights saw none."""
    norms = [module for module in labeller.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over what follows
    labeller.train()
    for iteration in range(NUM_STATISTICS):
        labeller(latents(iteration))
    labeller.eval()
