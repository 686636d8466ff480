"""Stage "text": teach the text encoder what an instruction asks, before it sees any picture.

The summary row must tell everything an ``EditSpec`` holds, of the first edit and of a second one.
The heads are dropped afterwards; the DiT reads the embeddings through cross-attention.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from liveedit_cam.lab.edits.colours import NAMES
from liveedit_cam.lab.edits.instructions import Palette, draw_spec, known_words, misspell
from liveedit_cam.lab.edits.spec import RGB, EditSpec, Family, Scope, Side
from liveedit_cam.lab.training.loop import Draws, LoopConfig, Run
from liveedit_cam.model.config import ModelConfig, TextConfig
from liveedit_cam.model.text import TextEncoder, unknown_words

_LOOKS = tuple(
    f.value
    for f in Family
    if f
    not in (
        Family.IDENTITY,
        Family.BLUR,
        Family.REPLACE_COLOUR,
        Family.LIGHT,
        Family.GRADIENT,
    )
)
_SCOPED = (
    *("recolour:background", "recolour:subject") * 3,
    *("gradient:background",) * 4,
    *("blur:background",) * 2,
    *(f"{look}:{scope}" for look in ("black_and_white", "pixel_art", "invert")
      for scope in ("background", "subject")),
    "darken:background", "brighten:subject", "night:background",
)  # fmt: skip
KINDS = (
    *("identity",) * 2,
    *_LOOKS,
    *_SCOPED,
    *("light",) * 3,
    *("replace_colour",) * 6,
    *("region",) * 3,
    *("strength",) * 3,
    *("two",) * 5,
)
"""Kinds of instruction as they are drawn here; the editor's stage draws its own mix."""
ANCHOR_WEIGHT = 2.0


class EditHeads(nn.Module):
    """What one of the two edits of an instruction is, from the summary row."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.family = nn.Linear(width, len(Family))
        self.scope = nn.Linear(width, len(Scope))
        self.from_colour = nn.Linear(width, len(NAMES))
        self.side = nn.Linear(width, len(Side))
        self.colour = nn.Linear(width, 3)
        self.second_colour = nn.Linear(width, 3)
        self.strength = nn.Linear(width, 1)

    def loss(self, summary: Tensor, specs: Sequence[EditSpec | None]) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the choices plus ten times the squared error of the colours.

        None counts as the identity. Also returns the share of right families.
        """
        asked = [spec or EditSpec(Family.IDENTITY) for spec in specs]
        family = torch.tensor([list(Family).index(spec.family) for spec in asked])
        scope = torch.tensor([list(Scope).index(spec.scope) for spec in asked])
        strength = torch.tensor([[spec.strength] for spec in asked])
        guess = self.family(summary)
        loss = F.cross_entropy(guess, family) + F.cross_entropy(self.scope(summary), scope)
        loss = loss + 3 * F.mse_loss(self.strength(summary), strength)
        names = [None if s.from_colour is None else NAMES.index(s.from_colour) for s in asked]
        sides = [None if s.side is None else list(Side).index(s.side) for s in asked]
        loss = loss + _choice_loss(self.from_colour, summary, names)
        loss = loss + _choice_loss(self.side, summary, sides)
        loss = loss + _colour_loss(self.colour, summary, [s.colour for s in asked])
        loss = loss + _colour_loss(self.second_colour, summary, [s.second_colour for s in asked])
        return loss, (guess.argmax(-1) == family).float().mean()


def _choice_loss(head: nn.Module, summary: Tensor, labels: Sequence[int | None]) -> Tensor:
    rows = [row for row, label in enumerate(labels) if label is not None]
    if not rows:
        return summary.new_zeros(())
    return F.cross_entropy(head(summary[rows]), torch.tensor([labels[row] for row in rows]))


def _colour_loss(head: nn.Module, summary: Tensor, colours: Sequence[RGB | None]) -> Tensor:
    rows = [row for row, colour in enumerate(colours) if colour is not None]
    if not rows:
        return summary.new_zeros(())
    return 10 * F.mse_loss(head(summary[rows]), torch.tensor([colours[row] for row in rows]))


class InstructionReader(nn.Module):
    """The text encoder with the heads that say what the instruction asks."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.encoder = TextEncoder(config)
        self.first = EditHeads(config.width)
        self.second = EditHeads(config.width)

    def loss(
        self, embeddings: Tensor, specs: Sequence[EditSpec]
    ) -> tuple[Tensor, dict[str, float]]:
        """Sum over both edits; ``embeddings`` are the encoder's, (B, L, D)."""
        summary = embeddings[:, 0]
        first, right = self.first.loss(summary, specs)
        second, _ = self.second.loss(summary, [spec.then for spec in specs])
        return first + second, {"family_right": right.item(), "second": second.item()}


class Anchor:
    """Keeps the embeddings of what a former encoder knew, so that its editor still reads them."""

    def __init__(self, former: TextEncoder, words: Collection[str]) -> None:
        """``words`` are the words ``former`` was taught."""
        self.former = former.requires_grad_(False).eval()
        self.words = frozenset(words)

    def __call__(self, prompts: Sequence[str], embeddings: Tensor) -> Tensor:
        """Mean squared distance from the former embeddings over the prompts all known to it."""
        rows = [row for row, p in enumerate(prompts) if not unknown_words(p, self.words)]
        if not rows:
            return embeddings.new_zeros(())
        with torch.no_grad():
            wanted = self.former([prompts[row] for row in rows])
        return F.mse_loss(embeddings[rows], wanted)


def train_text(
    config: ModelConfig,
    palette: Palette,
    out: Path,
    loop: LoopConfig,
    seed: int,
    anchor: Anchor | None = None,
) -> TextEncoder:
    """Train; writes ``out/text.safetensors`` and ``out/words.json``, returns the mean encoder.

    With ``anchor`` a fresh run begins at the former encoder's weights and stays near them.
    """
    torch.manual_seed(seed)
    reader = InstructionReader(config.text)
    if anchor is not None:
        reader.encoder.load_state_dict(anchor.former.state_dict())
    run = Run(out, reader, loop)
    draws = Draws(seed)
    rng = draws.rng

    def loss_of(iteration: int) -> tuple[Tensor, dict[str, float]]:
        draws.begin(iteration)
        drawn = [draw_spec(rng, palette, KINDS) for _ in range(96)]
        prompts = [misspell(prompt, rng) for _, prompt in drawn]
        embeddings = reader.encoder(prompts)
        loss, values = reader.loss(embeddings, [spec for spec, _ in drawn])
        if anchor is None:
            return loss, values
        distance = anchor(prompts, embeddings)
        return loss + ANCHOR_WEIGHT * distance, {**values, "anchor": distance.item()}

    run.train(loss_of)
    mean = run.ema.module
    assert isinstance(mean, InstructionReader)
    state = {k: v.half().contiguous() for k, v in mean.encoder.state_dict().items()}
    save_file(state, out / "text.safetensors")
    (out / "words.json").write_text(json.dumps(known_words(palette)))
    return mean.encoder
