"""What all diffusion stages train: the DiT and the head that is dropped afterwards."""

from __future__ import annotations

from torch import Tensor, nn

from liveedit_cam.model.config import ModelConfig
from liveedit_cam.model.dit import CausalDiT
from liveedit_cam.model.text import TextEncoder


class Editor(nn.Module):
    """The DiT with its auxiliary subject head, which is not shipped, and maybe its text encoder."""

    def __init__(self, config: ModelConfig, text: TextEncoder | None = None) -> None:
        """``text`` is an encoder that learns beside the DiT; None = it stays as it is."""
        super().__init__()
        self.text = text
        self.dit = CausalDiT(config)
        self.subject_head = nn.Linear(config.dim, config.patch**2)

    def subject_logits(self, hidden: Tensor, grid: tuple[int, int], num_latents: int) -> Tensor:
        """Logits (B, T, H, W) per latent cell from the hidden tokens of the last latents."""
        p = self.dit.config.patch
        tokens = hidden.unflatten(1, (-1, grid[0] * grid[1]))[:, -num_latents:]
        logits: Tensor = self.subject_head(tokens).unflatten(2, grid)  # (B, T, h, w, p p)
        cells: Tensor = logits.unflatten(-1, (p, p)).transpose(3, 4)  # (B, T, h, p, w, p)
        return cells.flatten(4, 5).flatten(2, 3)
