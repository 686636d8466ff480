"""What do the paper's figures 3 and 5 look like for nano: attention without a future, the masks?

Figure 3: one network, one clip of latents, one token of the subject in the middle latent. Its
attention (mean over layers and heads) is drawn over the frames twice: every latent visible, as in
stage 1, and with the future cut off, as live. Spread is the entropy of attention over the tokens of
the past and of its own latent, as a share of the largest there can be, mean over all tokens of the
middle latent; so both are measured on the same tokens. Figure 5: source, edit, and which tokens the
mask cache recomputed, chunk after chunk, and how much of the mask changes from one to the next.
Writes paper-attention.jpg and paper-masks.jpg to --out; the last line is one JSON object.

    python benchmarks/paper_figures.py [--media MEDIA] [--out docs]
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from bench import Figure, print_result
from numpy.typing import NDArray
from torch import Tensor

from liveedit_cam.lab.ablations.cases import LOCAL, Case, choose_clips
from liveedit_cam.lab.ablations.rig import (
    LoadedNano,
    Setup,
    Steps,
    Variant,
    load_networks,
    make_stream,
)
from liveedit_cam.model.attention import MaskedAttend, attend, rotate, rotation_table
from liveedit_cam.model.codec import CodecStream
from liveedit_cam.model.config import model_size
from liveedit_cam.model.generator import predict_x0
from liveedit_cam.model.mask_view import darken_reused
from liveedit_cam.model.schedule import add_noise
from liveedit_cam.pixels import shrink

QUESTION = "What do the paper's figures 3 and 5 look like for nano?"
NUM_LATENTS = 5
SIGMA = 0.75
"""Of the noise on all latents: the sampler's second step."""
NUM_CHUNKS = 6
JPEG_QUALITY = 88
Picture = NDArray[np.uint8]


class Watching(MaskedAttend):
    """MaskedAttend that keeps what the tokens ``queries`` look at, mean over layers and heads."""

    def __init__(self, rotation: Tensor, mask: Tensor | None, queries: slice) -> None:
        super().__init__(rotation, mask)
        self.queries = queries
        self.layers: list[Tensor] = []
        """Per layer, (queries, N)."""

    def __call__(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, tokens: Tensor | None
    ) -> Tensor:
        turned, keys = rotate(q, self.rotation), rotate(k, self.rotation)
        asked = turned[0, self.queries].transpose(0, 1) @ keys[0].permute(1, 2, 0)  # (H, n, N)
        asked = asked / q.shape[-1] ** 0.5
        if self.mask is not None:
            asked = asked.masked_fill(~self.mask[self.queries], -torch.inf)
        self.layers.append(asked.softmax(-1).mean(0))
        return attend(turned, keys, v, self.mask)


def spread(attention: Tensor) -> float:
    """Mean entropy of rows (n, N), renormalised, as a share of log N."""
    share = attention / attention.sum(-1, keepdim=True)
    entropy = -(share * share.clamp_min(1e-12).log()).sum(-1)
    return float(entropy.mean() / np.log(attention.shape[-1]))


@torch.inference_mode()
def watched(networks: LoadedNano, case: Case) -> tuple[list[Picture], Tensor, Tensor]:
    """Small frames, and attention (layers, n, N) of the middle latent's tokens: whole, cut."""
    config, codec = networks.config, CodecStream(networks.codec)
    frames = case.source(0, codec.frames_for(NUM_LATENTS))
    height, width = model_size(config, *frames.shape[1:3])
    small = [shrink(frame, width, height) for frame in frames]
    pixels = torch.from_numpy(np.stack(small)).float().permute(3, 0, 1, 2)[None] / 255
    source = codec.encode(pixels.to(networks.device))
    noise = torch.randn(source.shape, generator=torch.Generator().manual_seed(0)).to(source)
    noisy = add_noise(source, noise, torch.tensor(SIGMA))
    text = networks.dit.text_kv(networks.text([case.prompt]).to(networks.device, networks.dtype))
    grid = networks.dit.grid(source)
    n = grid[0] * grid[1]
    rotation = rotation_table(range(NUM_LATENTS), grid, config.head_dim, networks.device)
    latent = torch.arange(NUM_LATENTS * n, device=networks.device) // n
    middle = NUM_LATENTS // 2
    levels = source.new_full((1, NUM_LATENTS), SIGMA)
    found = []
    for mask in (None, latent[:, None] >= latent[None, :]):
        look = Watching(rotation, mask, slice(middle * n, (middle + 1) * n))
        predict_x0(networks.dit, noisy, source, levels, 1000 * levels, text, look)
        found.append(torch.stack(look.layers))
    return small, found[0], found[1]


def heat(frame: Picture, values: Tensor, grid: tuple[int, int], most: float) -> Picture:
    """Attention over one frame: dark where there is none."""
    shade = (values.view(grid).float().cpu().numpy() / most) ** 0.5  # small values stay visible
    full = cv2.resize(shade, (frame.shape[1], frame.shape[0]), interpolation=cv2.INTER_CUBIC)
    colour = cv2.applyColorMap(np.uint8(255 * full.clip(0, 1)), cv2.COLORMAP_INFERNO)[..., ::-1]
    return np.uint8(0.35 * frame + 0.65 * colour)


def draw_attention(networks: LoadedNano, case: Case, path: Path) -> dict[str, Figure]:
    """Two rows of frames: every latent visible, the future cut off."""
    small, whole, cut = watched(networks, case)
    per_latent = networks.config.codec.frames_per_latent
    grid = (
        small[0].shape[0] // networks.config.token_px,
        small[0].shape[1] // networks.config.token_px,
    )
    n, middle = grid[0] * grid[1], NUM_LATENTS // 2
    subject = cv2.resize(
        case.clip.subject[middle * per_latent], grid[::-1], interpolation=cv2.INTER_AREA
    )
    centre = cv2.distanceTransform(np.uint8(subject > 127), cv2.DIST_L2, 3)
    token = int(centre.argmax())
    rows = []
    most = float(torch.quantile(whole.mean(0)[token], 0.995))
    for attention in (whole, cut):
        mean = attention.mean(0)[token]
        tiles = []
        for latent in range(NUM_LATENTS):
            frame = small[min(latent * per_latent, len(small) - 1)]
            tile = heat(frame, mean[latent * n : (latent + 1) * n], grid, most)
            if latent == middle:
                y, x = divmod(token, grid[1])
                px = networks.config.token_px
                tile = np.ascontiguousarray(tile)
                cv2.rectangle(
                    tile, (x * px, y * px), ((x + 1) * px, (y + 1) * px), (90, 255, 90), 1
                )
            tiles.append(tile)
        rows.append(np.hstack(tiles))
    write(path, np.vstack(rows))
    past = slice(0, (middle + 1) * n)
    layers = range(len(whole))
    by_layer = [(spread(whole[i][:, past]), spread(cut[i][:, past])) for i in layers]
    own = [float(a[..., middle * n : (middle + 1) * n].sum(-1).mean()) for a in (whole, cut)]
    future = float(whole[..., (middle + 1) * n :].sum(-1).mean())
    return {
        "spread_whole": float(np.mean([one for one, _ in by_layer])),
        "spread_cut": float(np.mean([two for _, two in by_layer])),
        "layers_that_spread": float(sum(two > one for one, two in by_layer)),
        "layers": float(len(by_layer)),
        "attention_on_the_future": future,
        "own_latent_whole": own[0],
        "own_latent_cut": own[1],
    }


def draw_masks(networks: LoadedNano, case: Case, path: Path) -> dict[str, Figure]:
    """Three rows: source, edit, what was recomputed; a column each chunk."""
    stream = make_stream(networks, Variant("", networks.config))
    conditioning, columns, masks = stream.encode_text(case.prompt), [], []
    start = 0
    for _ in range(NUM_CHUNKS):
        count = stream.chunk_frames
        source = case.source(start, count)
        start += count
        edited = stream.edit(source, conditioning)
        shown = edited[-1:].copy()
        if stream.recomputed is not None:
            darken_reused(shown, stream.recomputed[-1:], 1)
            masks.append(stream.recomputed[-1].clone())
        columns.append(np.vstack((source[-1], edited[-1], shown[0])))
    sheet = np.hstack(columns)
    scale = 1600 / sheet.shape[1]
    write(path, cv2.resize(sheet, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    changes = [float((a ^ b).float().mean()) for a, b in pairwise(masks)]
    return {
        "tokens_recomputed": float(np.mean([float(mask.float().mean()) for mask in masks])),
        "mask_changes_from_chunk_to_chunk": float(np.mean(changes)),
    }


def write(path: Path, pixels: Picture) -> None:
    """RGB to JPEG."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    if not cv2.imwrite(str(path), np.ascontiguousarray(pixels[..., ::-1]), quality):
        raise SystemExit(f"got {path}, which cannot be written")


def main() -> None:
    """Draw both and print the figures."""
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--media", type=Path, help="folder of clips; none = drawn scenes")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--threads", type=int, default=2)
    wanted = parser.parse_args()
    torch.set_num_threads(wanted.threads)
    networks = load_networks("nano", "cpu")
    clips = choose_clips(wanted.media, 1)
    setup = Setup(networks, clips, Path("runs"), 0.0, Steps(), least_gain_db=3.0)
    case = setup.cases((LOCAL,), per_clip=1)[0]
    wanted.out.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Figure] = {"clip": case.clip.name, "prompt": case.prompt}
    figures |= draw_attention(networks, case, wanted.out / "paper-attention.jpg")
    figures |= draw_masks(networks, case, wanted.out / "paper-masks.jpg")
    print_result(QUESTION, figures)


if __name__ == "__main__":
    main()
