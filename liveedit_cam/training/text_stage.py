"""Stage "text": teach the text encoder what an instruction asks, before it sees any picture.

The summary row must tell family, scope, target colour and changed colour. The four small heads
are dropped afterwards; the DiT reads the embeddings through cross-attention.
"""

from __future__ import annotations

import json
import random
import string
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from liveedit_cam.model.config import ModelConfig, TextConfig
from liveedit_cam.model.text import TextEncoder
from liveedit_cam.training.edits import HUES, EditSpec, Family, Scope
from liveedit_cam.training.instructions import Palette, draw_spec, known_words
from liveedit_cam.training.loop import LoopConfig, Run

FAMILIES = (
    "identity",
    *(f.value for f in Family if f not in (Family.IDENTITY, Family.BLUR, Family.REPLACE_COLOUR)),
    "recolour:background",
    "recolour:background",
    "recolour:subject",
    "recolour:subject",
    "black_and_white:background",
    "black_and_white:subject",
    "blur:background",
    "replace_colour",
    "replace_colour",
    "replace_colour",
)


class InstructionReader(nn.Module):
    """The text encoder with four heads that say what the instruction asks."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.encoder = TextEncoder(config)
        self.family = nn.Linear(config.width, len(Family))
        self.scope = nn.Linear(config.width, len(Scope))
        self.colour = nn.Linear(config.width, 3)
        self.hue = nn.Linear(config.width, len(HUES))

    def loss(self, prompts: list[str], specs: list[EditSpec]) -> tuple[Tensor, dict[str, float]]:
        """Cross-entropy of the three choices plus ten times the squared error of the colour."""
        summary = self.encoder(prompts)[:, 0]
        families, scopes, hues = list(Family), list(Scope), list(HUES)
        family = torch.tensor([families.index(spec.family) for spec in specs])
        scope = torch.tensor([scopes.index(spec.scope) for spec in specs])
        family_loss = F.cross_entropy(self.family(summary), family)
        scope_loss = F.cross_entropy(self.scope(summary), scope)
        loss = family_loss + scope_loss
        coloured = [i for i, spec in enumerate(specs) if spec.colour is not None]
        if coloured:
            wanted = torch.tensor([specs[i].colour for i in coloured])
            loss = loss + 10 * F.mse_loss(self.colour(summary[coloured]), wanted)
        changed = [i for i, spec in enumerate(specs) if spec.from_colour is not None]
        if changed:
            wanted = torch.tensor([hues.index(specs[i].from_colour or "") for i in changed])
            loss = loss + F.cross_entropy(self.hue(summary[changed]), wanted)
        right = (self.family(summary).argmax(-1) == family).float().mean()
        return loss, {"family_right": right.item()}


def misspell(prompt: str, rng: random.Random) -> str:
    """Drop, double or swap a letter now and then, or add a word that means nothing."""
    if rng.random() < 0.12 and len(prompt) > 6:
        at = rng.randrange(1, len(prompt) - 1)
        a, b = prompt[at], prompt[at + 1]
        prompt = (
            prompt[:at] + rng.choice(("", a + a, b + a)) + prompt[at + 1 + (rng.random() < 0.3) :]
        )
    if rng.random() < 0.08:
        filler = "".join(rng.choice(string.ascii_lowercase) for _ in range(rng.randint(3, 8)))
        words = prompt.split(" ")
        words.insert(rng.randint(0, len(words)), filler)
        prompt = " ".join(words)
    return prompt


def train_text(
    config: ModelConfig, palette: Palette, out: Path, loop: LoopConfig, seed: int
) -> TextEncoder:
    """Train; writes ``out/text.safetensors`` and ``out/words.json``, returns the mean encoder."""
    torch.manual_seed(seed)
    reader = InstructionReader(config.text)
    run = Run(out, reader, loop)
    rng = random.Random(seed + run.iteration)

    def loss_of(_: int) -> tuple[Tensor, dict[str, float]]:
        drawn = [draw_spec(rng, palette, FAMILIES) for _ in range(96)]
        return reader.loss([misspell(p, rng) for _, p in drawn], [spec for spec, _ in drawn])

    run.train(loss_of)
    mean = run.ema.module
    assert isinstance(mean, InstructionReader)
    state = {k: v.half().contiguous() for k, v in mean.encoder.state_dict().items()}
    save_file(state, out / "text.safetensors")
    (out / "words.json").write_text(json.dumps(known_words(palette)))
    return mean.encoder
