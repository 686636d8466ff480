"""What all diffusion stages train: the DiT and the head that is dropped afterwards."""

from __future__ import annotations

from torch import Tensor, nn

from liveedit_cam.lab.edits.regions import NUM_PARTS
from liveedit_cam.model.config import ModelConfig
from liveedit_cam.model.dit import CausalDiT
from liveedit_cam.model.text import TextEncoder


class Editor(nn.Module):
    """The DiT with two auxiliary heads, which are not shipped, and maybe its text encoder.

    One head draws the mask of what the instruction names. The other says what each cell of the
    picture is, whatever the instruction: a pair then teaches every labelled thing in its picture,
    not only the one it edits (deep supervision, as auxiliary heads of segmentation networks).
    """

    def __init__(self, config: ModelConfig, text: TextEncoder | None = None) -> None:
        """``text`` is an encoder that learns beside the DiT; None = it stays as it is."""
        super().__init__()
        self.text = text
        self.dit = CausalDiT(config)
        self.subject_head = nn.Linear(config.dim, config.patch**2)
        self.parts_head = nn.Linear(config.dim, config.patch**2 * NUM_PARTS)

    def subject_logits(self, hidden: Tensor, grid: tuple[int, int], num_latents: int) -> Tensor:
        """Logits (B, T, H, W) per latent cell from the hidden tokens of the last latents."""
        return self._cells(self.subject_head, hidden, grid, num_latents)[..., 0]

    def parts_logits(self, hidden: Tensor, grid: tuple[int, int], num_latents: int) -> Tensor:
        """Logits (B, T, H, W, NUM_PARTS) per latent cell, from the same tokens."""
        return self._cells(self.parts_head, hidden, grid, num_latents)

    def _cells(
        self, head: nn.Linear, hidden: Tensor, grid: tuple[int, int], num_latents: int
    ) -> Tensor:
        """What ``head`` says of each cell of the last latents, (B, T, H, W, values)."""
        p = self.dit.config.patch
        tokens = hidden.unflatten(1, (-1, grid[0] * grid[1]))[:, -num_latents:]
        values: Tensor = head(tokens).unflatten(2, grid)  # (B, T, h, w, p p C)
        cells: Tensor = values.unflatten(-1, (p, p, -1)).transpose(3, 4)  # (B, T, h, p, w, p, C)
        return cells.flatten(4, 5).flatten(2, 3)
