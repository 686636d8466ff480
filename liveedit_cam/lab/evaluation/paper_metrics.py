"""The paper's six metrics, by the models they are defined with, and by nothing else.

Text alignment (CLIP ViT-B/32, the instruction against every frame); by VBench: background
consistency (cosine of CLIP ViT-B/32 pictures with the first frame and the one before), aesthetic
quality (LAION's linear head on CLIP ViT-L/14, over 10), imaging quality (MUSIQ trained on SPAQ,
over 100; the network is pyiqa's) and dynamic degree (whether RAFT sees enough motion; the network
is torchvision's, whose C_T_V1 weights are the original ones). Models are read from paths or the
hub's cache, never fetched. Where one is not there, and for motion smoothness, whose network no
package has, the report says what is needed.
"""

from __future__ import annotations

import importlib
import importlib.util
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

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
IMAGING, DYNAMIC = "imaging quality", "dynamic degree"
NO_NETWORK = {"motion smoothness": "AMT-S, the interpolation network of VBench (amt-s.pth)"}
"""Metrics whose network is in no package, and what they need."""
MUSIQ_LONG_SIDE = 512
"""Pixels; VBench shrinks larger frames to it."""
RAFT_RATE, RAFT_UPDATES, RAFT_SHARE, RAFT_LEAST_PX = 8.0, 20, 0.05, 6.0
"""VBench: pictures a second, updates of a flow, share of its longest vectors that counts, and
their least mean length for a short side of 256 pixels."""
PIXEL_MEAN = (0.48145466, 0.4578275, 0.40821073)
PIXEL_STD = (0.26862954, 0.26130258, 0.27577711)

_UNREADABLE = (OSError, ValueError, KeyError, RuntimeError)
"""What transformers raises for files that are missing or not what they should be."""
_BROKEN = (*_UNREADABLE, TypeError, AttributeError, EOFError, pickle.UnpicklingError)
"""The same of torch.load and what is done with its result."""
Network = Callable[..., Tensor]
N = TypeVar("N")


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


@dataclass(frozen=True, slots=True)
class PaperWeights:
    """Where the models are."""

    clip: Path | None = None
    """Folder of clip-vit-base-patch32 and clip-vit-large-patch14; None = the hub's cache."""
    laion: Path | None = None
    """AESTHETIC_HEAD; None = aesthetic quality is not run, and so on."""
    musiq: Path | None = None
    raft: Path | None = None


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

    def __init__(self, weights: PaperWeights) -> None:
        """Read what is there; what is not goes to ``not_run``."""
        self.not_run: list[NotRun] = []
        self._small = self._read(SMALL_CLIP, weights.clip, (TEXT_ALIGNMENT, CONSISTENCY))
        self._large = self._read(LARGE_CLIP, weights.clip, (AESTHETIC,))
        self._head: torch.nn.Linear | None = None
        if self._large is not None:
            large = self._large
            self._head = self._tried(AESTHETIC, lambda: _read_head(weights.laion, large))
        self._musiq = self._tried(IMAGING, lambda: load_musiq(weights.musiq))
        self._raft = self._tried(DYNAMIC, lambda: load_raft(weights.raft))
        self.not_run += [NotRun(name, needs) for name, needs in NO_NETWORK.items()]

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics that are run."""
        missing = {one.name for one in self.not_run}
        all_ = (TEXT_ALIGNMENT, CONSISTENCY, AESTHETIC, IMAGING, DYNAMIC)
        return tuple(name for name in all_ if name not in missing)

    @torch.inference_mode()
    def figures(
        self, frames: NDArray[np.uint8], prompt: str, fps: float
    ) -> tuple[PaperFigure, ...]:
        """Measure one output video, uint8 (T, H, W, 3), T >= 2, made by ``prompt``."""
        found = []
        if self._small is not None:
            pictures = self._small.pictures(frames)
            alignment = float((pictures @ self._small.text(prompt).T).mean())
            found.append(PaperFigure(TEXT_ALIGNMENT, alignment))
            found.append(PaperFigure(CONSISTENCY, consistency(pictures)))
        if self._large is not None and self._head is not None:
            points = float(self._head(self._large.pictures(frames)).mean())
            found.append(PaperFigure(AESTHETIC, points / 10))
        if self._musiq is not None:
            found.append(PaperFigure(IMAGING, imaging_quality(self._musiq, frames)))
        if self._raft is not None:
            found.append(PaperFigure(DYNAMIC, float(is_dynamic(self._raft, frames, fps))))
        return tuple(found)

    def _tried(self, name: str, read: Callable[[], N]) -> N | None:
        try:
            return read()
        except WeightsError as error:
            self.not_run.append(NotRun(name, str(error)))
            return None

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


def imaging_quality(musiq: Network, frames: NDArray[np.uint8]) -> float:
    """VBench's: mean of ``musiq`` over frames (1, 3, H, W) in [0, 1], over 100."""
    points = 0.0
    for frame in frames:
        picture = torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255
        scale = MUSIQ_LONG_SIDE / max(picture.shape[-2:])
        if scale < 1:
            size = [round(side * scale) for side in picture.shape[-2:]]
            picture = F.interpolate(picture, size, mode="bilinear")
        points += float(musiq(picture)) / len(frames)
    return points / 100


def is_dynamic(raft: Network, frames: NDArray[np.uint8], fps: float) -> bool:
    """VBench's: whether a quarter of the steps, eight a second, move far enough.

    ``raft`` takes two pictures (1, 3, H, W) in [-1, 1], sides in multiples of 8.
    """
    taken = frames[:: max(1, round(fps / RAFT_RATE))]
    height, width = frames.shape[1:3]
    least = max(1.0, RAFT_RATE / fps) * RAFT_LEAST_PX * min(height, width) / 256
    planes = torch.from_numpy(np.ascontiguousarray(taken)).permute(0, 3, 1, 2).float() / 127.5 - 1
    planes = F.pad(planes, (0, -width % 8, 0, -height % 8), mode="replicate")
    moved = 0
    for before, after in pairwise(planes.split(1)):
        flow = raft(before, after)[0, :, :height, :width]
        lengths = flow.square().sum(0).sqrt().flatten()
        longest = lengths.topk(max(1, int(RAFT_SHARE * len(lengths)))).values
        moved += int(float(longest.mean()) > least)
    return moved >= max(1, round(4 * len(taken) / 16))


def load_musiq(path: Path | None) -> Network:
    """MUSIQ with the weights in ``path``. Raises WeightsError."""
    module = _package("pyiqa.archs.musiq_arch", path, "musiq_spaq_ckpt-358bb6af.pth by --musiq")
    try:
        network: Network = module.MUSIQ(pretrained_model_path=str(path)).eval()
    except _BROKEN as error:
        raise WeightsError(f"MUSIQ, whole; got {path} ({_first_line(error)})") from error
    return network


def load_raft(path: Path | None) -> Network:
    """RAFT with the weights in ``path``: two pictures to the last flow. Raises WeightsError."""
    wanted = "raft_large_C_T_V1-22a6c225.pth by --raft"
    module = _package("torchvision.models.optical_flow", path, wanted)
    network = module.raft_large(weights=None)
    try:
        network.load_state_dict(torch.load(str(path), map_location="cpu", weights_only=True))
    except _BROKEN as error:
        raise WeightsError(f"RAFT, whole; got {path} ({_first_line(error)})") from error
    network.eval()
    return lambda *pair: network(*pair, num_flow_updates=RAFT_UPDATES)[-1]


def _package(name: str, path: Path | None, wanted: str) -> Any:
    """A module of a package that only a metric needs. Raises WeightsError."""
    if path is None:
        raise WeightsError(wanted)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise WeightsError(f"{package}: pip install {package} ({_first_line(error)})") from error


def _read_head(path: Path | None, clip: Clip) -> torch.nn.Linear:
    """LAION's aesthetic head. Raises WeightsError."""
    if path is None:
        raise WeightsError(f"{AESTHETIC_HEAD} of LAION by --laion")
    width = clip.text("").shape[1]
    head = torch.nn.Linear(width, 1)
    try:
        head.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except _BROKEN as error:
        raise WeightsError(f"{AESTHETIC_HEAD}, whole ({_first_line(error)})") from error
    return head.float().eval()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
