"""The paper's metrics, on tiny CLIP models of random weights in the released form."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from liveedit_cam.lab.evaluation.paper_metrics import (
    AESTHETIC_HEAD,
    Clip,
    PaperMetrics,
    PaperWeights,
    consistency,
    imaging_quality,
    is_dynamic,
)

transformers = pytest.importorskip("transformers")
PROMPT = "make it night"


def write_clip(folder: Path, name: str) -> Path:
    """A folder as released: config, safetensors, byte-pair vocabulary; weights random."""
    words = {"vocab_size": 60, "hidden_size": 16, "intermediate_size": 24}
    shape = {"num_hidden_layers": 1, "num_attention_heads": 2}
    ids = {"bos_token_id": 58, "eos_token_id": 59, "pad_token_id": 59}
    config = transformers.CLIPConfig(
        text_config={**words, **shape, **ids, "max_position_embeddings": 12},
        vision_config={"hidden_size": 16, "intermediate_size": 24, **shape,
                       "image_size": 32, "patch_size": 8},
        projection_dim=8,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.CLIPModel(config).save_pretrained(folder / name)
    letters = [chr(ord("a") + i) for i in range(26)]
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), "ma", "ke</w>", "it</w>",
                  "make</w>", "ni", "ght</w>", "<|startoftext|>", "<|endoftext|>"]  # fmt: skip
    vocabulary = vocabulary[-60:]
    (folder / name / "vocab.json").write_text(
        json.dumps({word: number for number, word in enumerate(vocabulary)})
    )
    (folder / name / "merges.txt").write_text("#version: 0.2\nm a\nk e</w>\ni t</w>\nma ke</w>\n")
    (folder / name / "tokenizer_config.json").write_text('{"tokenizer_class": "CLIPTokenizer"}')
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both CLIPs and the aesthetic head, whose answer is 5 for every picture."""
    path = tmp_path_factory.mktemp("paper")
    for name in ("clip-vit-base-patch32", "clip-vit-large-patch14"):
        write_clip(path, name)
    head = {"weight": torch.zeros(1, 8), "bias": torch.tensor([5.0])}
    torch.save(head, path / AESTHETIC_HEAD)
    return path


def weights(folder: Path) -> PaperWeights:
    head = folder / AESTHETIC_HEAD
    return PaperWeights(folder, head if head.is_file() else None)


def frames(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (3, 40, 64, 3)).astype(np.uint8)


def test_pictures_and_texts_are_those_of_transformers(folder: Path) -> None:
    """Catches a wrong crop, mean or projection, and a text without its end token.

    The picture has CLIP's own size, so that scaling plays no part; both run in float32.
    """
    where = folder / "clip-vit-base-patch32"
    model = transformers.CLIPModel.from_pretrained(where).eval()
    picture = frames()[:, :32, :32]
    planes = torch.from_numpy(picture).permute(0, 3, 1, 2).float() / 255
    mean = torch.tensor((0.48145466, 0.4578275, 0.40821073)).view(1, 3, 1, 1)
    std = torch.tensor((0.26862954, 0.26130258, 0.27577711)).view(1, 3, 1, 1)
    tokens = transformers.AutoTokenizer.from_pretrained(where)([PROMPT], return_tensors="pt")
    assert tokens.input_ids[0, [0, -1]].tolist() == [58, 59]
    with torch.inference_mode():
        wanted = model(pixel_values=(planes - mean) / std, **tokens)
    clip = Clip(folder, "openai/clip-vit-base-patch32")
    assert torch.allclose(clip.pictures(picture), wanted.image_embeds, atol=1e-5)
    assert torch.allclose(clip.text(PROMPT), wanted.text_embeds, atol=1e-5)
    assert clip.text(PROMPT * 20).shape == (1, 8), "a long instruction is cut, not an error"


def test_the_three_that_are_there_are_run(folder: Path) -> None:
    """Catches a metric of the wrong model or scale, and one counted twice."""
    metrics = PaperMetrics(weights(folder))
    others = {"motion smoothness", "dynamic degree", "imaging quality"}
    assert {one.name for one in metrics.not_run} == others
    figures = {figure.name: figure.value for figure in metrics.figures(frames(), PROMPT, 24.0)}
    assert tuple(figures) == metrics.names
    assert figures["aesthetic quality"] == pytest.approx(0.5)
    assert -1 <= figures["text alignment"] <= 1
    still = np.repeat(frames()[:1], 3, axis=0)
    kept = {figure.name: figure.value for figure in metrics.figures(still, PROMPT, 24.0)}
    assert kept["background consistency"] == pytest.approx(1.0, abs=1e-5)


def test_consistency_looks_at_the_first_frame_and_the_one_before() -> None:
    """Catches one of the two left out: frame 2 is like the one before, unlike the first."""
    pictures = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    assert consistency(pictures) == pytest.approx((0.0 + 0.5) / 2)


def test_weights_that_are_not_whole_are_not_run(tmp_path: Path) -> None:
    """Catches layers left at random, which would give a number that means nothing."""
    write_clip(tmp_path, "clip-vit-base-patch32")
    path = tmp_path / "clip-vit-base-patch32" / "model.safetensors"
    tensors = load_file(path)
    del tensors["visual_projection.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    not_run = {one.name: one.needs for one in PaperMetrics(weights(tmp_path)).not_run}
    assert len(not_run) == 6
    assert "visual_projection.weight" in not_run["text alignment"]
    assert not_run["aesthetic quality"].startswith("openai/clip-vit-large-patch14")


def test_a_wrong_head_is_not_run(folder: Path, tmp_path: Path) -> None:
    """Catches an aesthetic score from a file of another form."""
    write_clip(tmp_path, "clip-vit-large-patch14")
    (tmp_path / AESTHETIC_HEAD).write_bytes(b"no weights")
    needs = {one.name: one.needs for one in PaperMetrics(weights(tmp_path)).not_run}
    assert AESTHETIC_HEAD in needs["aesthetic quality"]
    (tmp_path / AESTHETIC_HEAD).unlink()
    needs = {one.name: one.needs for one in PaperMetrics(weights(tmp_path)).not_run}
    assert "--laion" in needs["aesthetic quality"]


def test_imaging_quality_is_the_mean_of_what_the_network_says() -> None:
    """Catches frames in 0..255, a long side that is not shrunk, and points out of 100."""
    seen: list[tuple[int, ...]] = []

    def musiq(picture: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(picture.shape))
        assert 0 <= float(picture.min()) <= float(picture.max()) <= 1
        return picture.mean() * 100

    black_and_white = np.zeros((2, 40, 64, 3), np.uint8)
    black_and_white[1] = 255
    assert imaging_quality(musiq, black_and_white) == pytest.approx(0.5)
    imaging_quality(musiq, np.zeros((1, 288, 1024, 3), np.uint8))
    assert seen == [(1, 3, 40, 64)] * 2 + [(1, 3, 144, 512)]


@pytest.mark.parametrize(
    ("length", "share", "moving", "is_one"),
    [(6.1, 0.06, 4, True), (5.9, 1.0, 9, False), (60.0, 0.004, 9, False), (60.0, 1.0, 1, False)],
)
def test_a_video_is_dynamic_where_vbench_says_so(
    length: float, share: float, moving: int, is_one: bool
) -> None:
    """Catches another threshold, share of pixels or number of steps: 10 pictures want 2 steps."""
    steps = iter(range(99))

    def raft(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        assert before.shape == after.shape == (1, 3, 256, 304)  # padded to multiples of 8
        flow = torch.zeros(1, 2, 256, 304)
        if next(steps) < moving:
            flow[0, 0].flatten()[: int(share * 256 * 304)] = length
        return flow

    pictures = np.zeros((30, 256, 300, 3), np.uint8)
    assert is_dynamic(raft, pictures, 24.0) == is_one


@pytest.mark.parametrize(("kind", "package"), [("musiq", "pyiqa"), ("raft", "torchvision")])
def test_a_network_that_is_not_installed_is_named(tmp_path: Path, kind: str, package: str) -> None:
    """Catches a traceback, and a metric left out without a word."""
    if importlib.util.find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    (tmp_path / "weights.pth").write_bytes(b"")
    given = PaperWeights(**{kind: tmp_path / "weights.pth"})
    needs = " ".join(one.needs for one in PaperMetrics(given).not_run)
    assert f"pip install {package}" in needs
