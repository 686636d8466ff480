"""Write a model folder of liveedit-1.3b with random weights, for what is timed and not looked at.

The files are those that ``liveedit-cam models pull`` leaves, of the true sizes, but for the text
encoder (11 GB): the instructions named are embedded at random, ahead, and no other can be given.

    python benchmarks/random_wan.py FOLDER "make it night" [--scale full] [--device cuda]
    python benchmarks/live.py --model FOLDER --codec tiny --prompt "make it night"
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from safetensors.torch import save_file
from torch import nn
from wan import TINY

from liveedit_cam.model import WAN_1_3B, ModelConfig
from liveedit_cam.model.dit import CausalDiT
from liveedit_cam.model.wan.load import LIGHT_CODEC_FILE
from liveedit_cam.model.wan.prompt_cache import CachedPrompts
from liveedit_cam.model.wan.taehv import TAEHV
from liveedit_cam.model.wan.umt5 import PromptEmbedding
from liveedit_cam.model.weights import choose_device

NUM_ROWS = 12
"""Tokens of an embedded instruction."""


class RandomRows:
    """Embeds anything, at random."""

    def __init__(self, config: ModelConfig) -> None:
        self.max_tokens = config.text.max_tokens
        self._width = config.text.width

    def identity(self) -> str:
        """Of no encoder that exists."""
        return "random"

    def embed(self, prompts: Sequence[str]) -> list[PromptEmbedding]:
        """Rows of each prompt."""
        return [PromptEmbedding(torch.randn(NUM_ROWS, self._width)) for _ in prompts]

    def free(self) -> None:
        """Nothing is held."""


def write(folder: Path, config: ModelConfig, prompts: Sequence[str], device: torch.device) -> None:
    """Write the folder; weights are made on ``device``."""
    is_small = config.name == TINY.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    with torch.device(device):
        dit, tae = CausalDiT(config), TAEHV()
        vae = AutoencoderKLWan(base_dim=4 if is_small else 96)
    nn.init.normal_(dit.head.head.weight, std=0.02)  # else it predicts nothing
    _save(dit, folder / "model.safetensors")
    _save(tae, folder / LIGHT_CODEC_FILE)
    vae.save_pretrained(folder / "vae")
    for _ in CachedPrompts(RandomRows(config), folder / "prompts").encode_presets(prompts):
        pass


def _save(network: nn.Module, path: Path) -> None:
    tensors = {name: x.bfloat16().cpu().contiguous() for name, x in network.state_dict().items()}
    save_file(tensors, path)


def main() -> None:
    """Read the command line and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("prompts", nargs="+", help="instructions that may be given")
    parser.add_argument("--scale", choices=("full", "tiny"), default="full")
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    config = WAN_1_3B if given.scale == "full" else TINY
    write(given.folder, config, given.prompts, choose_device(given.device))


if __name__ == "__main__":
    main()
