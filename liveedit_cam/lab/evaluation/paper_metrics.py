"""The paper's six metrics, by the models they are defined with, and by nothing else.

Three are run here: text alignment (CLIP ViT-B/32, the instruction against every frame), background
consistency (VBench: cosine of CLIP ViT-B/32 pictures with the first frame and the one before) and
aesthetic quality (VBench: LAION's linear head on CLIP ViT-L/14, over 10). Their models are read
from a local folder or the hub's cache, never fetched. Where they are not there, and for the three
whose networks are no part of any package this one uses, the report says what is needed.
"""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from liveedit_cam.errors import WeightsError

TEXT_ALIGNMENT, CONSISTENCY = "text alignment", "background consistency"
AESTHETIC = "aesthetic quality"
SMALL_CLIP, LARGE_CLIP = "openai/clip-vit-base-patch32", "openai/clip-vit-large-patch14"
AESTHETIC_HEAD = "sa_0_4_vit_l_14_linear.pth"
NO_NETWORK = {
    "motion smoothness": "AMT-S, the frame interpolation network of VBench (amt-s.pth)",
    "dynamic degree": "RAFT as VBench runs it (raft-things.pth); our own dynamic degree is above",
    "imaging quality": "MUSIQ trained on SPAQ (musiq_spaq_ckpt-358bb6af.pth)",
}
"""Metrics this package holds no network for, and what they need."""
PIXEL_MEAN = (0.48145466, 0.4578275, 0.40821073)
PIXEL_STD = (0.26862954, 0.26130258, 0.27577711)

_UNREADABLE = (OSError, ValueError, KeyError, RuntimeError)
"""What transformers raises for files that are missing or not what they should be."""


@dataclass(frozen=True, slots=True)
class PaperFigure:
    """One metric of one video."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class NotRun:
    """One metric that could not be run."""

    name: str
    needs: str
    """What is needed, for "not run: needs ..."."""


class Clip:
    """One CLIP model: pictures and texts to vectors of length 1."""

    def __init__(self, folder: Path | None, repository: str) -> None:
        """Read ``folder/NAME`` if it is there, else the hub's cache. Raises WeightsError."""
        from transformers import AutoTokenizer, CLIPModel

        local = None if folder is None else folder / repository.partition("/")[2]
        where = str(local) if local is not None and local.is_dir() else repository
        read: Any = CLIPModel.from_pretrained
        read_tokenizer: Any = AutoTokenizer.from_pretrained
        try:
            model, report = read(where, local_files_only=True, output_loading_info=True)
            self._tokenizer: Any = read_tokenizer(where, local_files_only=True)
        except _UNREADABLE as error:
            raise WeightsError(f"{repository} ({_first_line(error)})") from error
        missing = [*report["missing_keys"], *report["mismatched_keys"]]
        if missing:  # transformers would leave them at random
            raise WeightsError(f"{repository}, whole; {where} lacks {missing[0]} among others")
        self._model: Any = model.float().eval()

    @torch.inference_mode()
    def pictures(self, frames: NDArray[np.uint8]) -> Tensor:
        """uint8 (T, H, W, 3) to (T, D): short side scaled to CLIP's, bicubic, middle taken."""
        side = self._model.config.vision_config.image_size
        planes = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
        height, width = planes.shape[-2:]
        scale = side / min(height, width)
        size = (max(side, round(height * scale)), max(side, round(width * scale)))
        planes = F.interpolate(planes, size, mode="bicubic", antialias=True).clamp(0, 1)
        top, left = (size[0] - side) // 2, (size[1] - side) // 2
        planes = planes[..., top : top + side, left : left + side]
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (PIXEL_MEAN, PIXEL_STD))
        pooled = self._model.vision_model(pixel_values=(planes - mean) / std).pooler_output
        return F.normalize(self._model.visual_projection(pooled), dim=-1)

    @torch.inference_mode()
    def text(self, prompt: str) -> Tensor:
        """One prompt to (1, D)."""
        length = self._model.config.text_config.max_position_embeddings
        tokens = self._tokenizer([prompt], return_tensors="pt", truncation=True, max_length=length)
        pooled = self._model.text_model(**tokens).pooler_output
        return F.normalize(self._model.text_projection(pooled), dim=-1)


class PaperMetrics:
    """Those of the six whose models are there. One thread owns it."""

    def __init__(self, folder: Path | None) -> None:
        """Read what is in ``folder`` or the hub's cache; what is not goes to ``not_run``."""
        self.not_run: list[NotRun] = []
        self._small = self._read(SMALL_CLIP, folder, (TEXT_ALIGNMENT, CONSISTENCY))
        self._large = self._read(LARGE_CLIP, folder, (AESTHETIC,))
        self._head: torch.nn.Linear | None = None
        if self._large is not None:
            try:
                self._head = _read_head(folder, self._large)
            except WeightsError as error:
                self.not_run.append(NotRun(AESTHETIC, str(error)))
        self.not_run += [NotRun(name, needs) for name, needs in NO_NETWORK.items()]

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics that are run."""
        missing = {one.name for one in self.not_run}
        return tuple(n for n in (TEXT_ALIGNMENT, CONSISTENCY, AESTHETIC) if n not in missing)

    def figures(self, frames: NDArray[np.uint8], prompt: str) -> tuple[PaperFigure, ...]:
        """Measure one output video, uint8 (T, H, W, 3), T >= 2, made by ``prompt``."""
        found = []
        if self._small is not None:
            pictures = self._small.pictures(frames)
            alignment = float((pictures @ self._small.text(prompt).T).mean())
            found.append(PaperFigure(TEXT_ALIGNMENT, alignment))
            found.append(PaperFigure(CONSISTENCY, consistency(pictures)))
        if self._large is not None and self._head is not None:
            with torch.inference_mode():
                points = float(self._head(self._large.pictures(frames)).mean())
            found.append(PaperFigure(AESTHETIC, points / 10))
        return tuple(found)

    def _read(self, repository: str, folder: Path | None, names: Sequence[str]) -> Clip | None:
        if importlib.util.find_spec("transformers") is None:
            needs = "transformers: pip install 'liveedit-cam[paper-metrics]'"
            self.not_run += [NotRun(name, needs) for name in names]
            return None
        try:
            return Clip(folder, repository)
        except WeightsError as error:
            self.not_run += [NotRun(name, str(error)) for name in names]
            return None


def consistency(pictures: Tensor) -> float:
    """VBench's: mean over frames of the cosine with the first and with the one before.

    ``pictures`` (T, D) of length 1, T >= 2; a negative cosine counts as 0.
    """
    cosines = [(pictures[0] @ after, before @ after) for before, after in pairwise(pictures)]
    values = [(max(0.0, float(first)) + max(0.0, float(last))) / 2 for first, last in cosines]
    return sum(values) / len(values)


def _read_head(folder: Path | None, clip: Clip) -> torch.nn.Linear:
    """LAION's aesthetic head. Raises WeightsError."""
    path = None if folder is None else folder / AESTHETIC_HEAD
    if path is None or not path.is_file():
        raise WeightsError(f"{AESTHETIC_HEAD} of LAION in the folder of --paper-weights")
    width = clip.text("").shape[1]
    head = torch.nn.Linear(width, 1)
    try:
        head.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (*_UNREADABLE, TypeError, AttributeError, EOFError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{AESTHETIC_HEAD}, whole ({_first_line(error)})") from error
    return head.float().eval()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
