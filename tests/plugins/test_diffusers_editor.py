"""The plugin that runs editing pipelines of diffusers, over tiny pipelines of random weights."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_model import moving_frames

from liveedit_cam.compositing import put_on
from liveedit_cam.engine.messages import Edit
from liveedit_cam.engine.worker import check
from liveedit_cam.errors import EditorError, InstructionError, UsageError, WeightsError
from liveedit_cam.protocols import Editor, EditorOptions
from liveedit_cam.types import EditInstruction, ModelFrame, Region

pytest.importorskip("transformers")
FILE = Path(__file__).parents[2] / "plugins/diffusers_editor/liveedit_diffusers_editor.py"
SNOW = EditInstruction("make it snow", revision=3)
pytestmark = pytest.mark.filterwarnings("ignore")
"""diffusers and transformers warn of each other's versions; none of it is this project's."""


@pytest.fixture(scope="module")
def plugin() -> ModuleType:
    spec = importlib.util.spec_from_file_location(FILE.stem, FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[FILE.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """InstructPix2Pix at a ten-thousandth of its size, as a pipeline's folder."""
    from diffusers import (
        AutoencoderKL,
        EulerDiscreteScheduler,
        StableDiffusionInstructPix2PixPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    letters = [*"abcdefghijklmnopqrstuvwxyz", *(f"{c}</w>" for c in "abcdefghijklmnopqrstuvwxyz")]
    vocab = {word: n for n, word in enumerate((*letters, "<|startoftext|>", "<|endoftext|>"))}
    text = CLIPTextConfig(
        vocab_size=len(vocab),
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=77,
        bos_token_id=vocab["<|startoftext|>"],
        eos_token_id=vocab["<|endoftext|>"],
    )
    unet = UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        sample_size=16,
        in_channels=8,
        out_channels=4,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=4,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 16),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
    )
    pipeline = StableDiffusionInstructPix2PixPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=CLIPTokenizer(vocab, [], model_max_length=77),
        unet=unet,
        scheduler=EulerDiscreteScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    path = tmp_path_factory.mktemp("pipelines") / "pix2pix"
    pipeline.save_pretrained(path)
    return path


@pytest.fixture
def editor(plugin: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Editor:
    monkeypatch.setenv("LIVEEDIT_DIFFUSERS_SIZE", "64")
    made: Editor = plugin.create(EditorOptions("nano", "cpu", num_steps=2, target=str(folder)))
    return made


def frames(editor: Editor, part: Region | None = None) -> tuple[ModelFrame, ...]:
    width, height = editor.size.of(640, 360)
    (pixels,) = moving_frames(1, height, width)
    return (ModelFrame(pixels, 5, 0.1, part),)


@pytest.mark.parametrize("part", [None, Region(0.25, 0.0, 0.5, 1.0)])
def test_a_pipelines_picture_becomes_a_field(editor: Editor, part: Region | None) -> None:
    """Catches fields the engine would refuse, and a picture that is not the pipeline's."""
    assert isinstance(editor, Editor)
    assert editor.chunk_frames == 1
    text = editor.encode(SNOW)
    given = frames(editor, part)
    fields = editor.edit(given, text, every_frame=True)
    check(Edit(given, True), 3, fields)
    made = put_on(given[0].pixels, fields[0])
    own = editor._picture(given[0].pixels, "make it snow", 0)  # type: ignore[attr-defined]
    before = np.abs(given[0].pixels.astype(int) - own).mean()
    assert np.abs(made.astype(int) - own).mean() < before / 2
    again = editor.edit(given, text, every_frame=True)
    assert np.array_equal(again[0].cells, fields[0].cells)
    assert editor.report().num_steps == 2
    editor.reset()
    editor.close()
    editor.close()
    with pytest.raises(EditorError, match="was closed"):
        editor.edit(given, text, every_frame=True)


def test_strength_seed_and_words_reach_the_pipeline(editor: Editor) -> None:
    """Catches an instruction that is dropped on the way."""
    given = frames(editor)
    none = EditInstruction("make it snow", strength=0.0)
    field = editor.edit(given, editor.encode(none), every_frame=True)[0]
    assert np.array_equal(put_on(given[0].pixels, field), given[0].pixels)
    cells = [
        editor.edit(given, editor.encode(one), every_frame=True)[0].cells
        for one in (SNOW, EditInstruction("make it rain"), EditInstruction("make it snow", seed=1))
    ]
    assert not np.array_equal(cells[0], cells[1])
    assert not np.array_equal(cells[0], cells[2])
    with pytest.raises(InstructionError, match="empty instruction"):
        editor.encode(EditInstruction(" "))


class Kontext:
    """A pipeline with the arguments of FLUX Kontext, whose picture has a size of its own."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def __call__(
        self,
        image: Image.Image,
        prompt: str,
        generator: torch.Generator,
        output_type: str,
        height: int = 1024,
        width: int = 1024,
        num_inference_steps: int = 28,
        guidance_scale: float = 3.5,
        max_area: int = 1024**2,
    ) -> SimpleNamespace:
        self.calls.append({**locals()})
        return SimpleNamespace(images=[Image.new("RGB", (8, 8), (200, 30, 30))])


def test_a_pipeline_is_called_by_what_it_has(plugin: ModuleType) -> None:
    """Catches a megapixel made of each small frame, and a picture of another size refused."""
    environ = {
        "LIVEEDIT_DIFFUSERS_SIZE": "64",
        "LIVEEDIT_DIFFUSERS_STEPS": "3",
        "LIVEEDIT_DIFFUSERS_TEMPLATE": "a photo, {}",
        "LIVEEDIT_DIFFUSERS_OPTIONS": "guidance_scale=2.5",
    }
    pipeline = Kontext()
    editor = plugin.DiffusersEditor(pipeline, "cpu", None, plugin.Settings.of(environ))
    given = frames(editor)
    fields = editor.edit(given, editor.encode(SNOW), every_frame=True)
    (call,) = pipeline.calls
    height, width = given[0].pixels.shape[:2]
    assert (call["height"], call["width"], call["max_area"]) == (height, width, height * width)
    assert (call["num_inference_steps"], call["guidance_scale"]) == (3, 2.5)
    assert call["prompt"] == "a photo, make it snow"
    made = put_on(given[0].pixels, fields[0])
    assert np.abs(made.astype(int) - (200, 30, 30)).max() < 12


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("SIZE", "huge", "expected a number from 64 to 2048"),
        ("TEMPLATE", "no braces", "expected one {} in it"),
        ("OPTIONS", "strength=much", "expected name=number"),
    ],
)
def test_a_wrong_setting_is_told(plugin: ModuleType, name: str, value: str, told: str) -> None:
    """Catches a traceback from deep in a pipeline."""
    with pytest.raises(UsageError, match=told.replace("{}", r"\{\}")):
        plugin.Settings.of({f"LIVEEDIT_DIFFUSERS_{name}": value})


def test_what_is_no_editing_pipeline_is_told(plugin: ModuleType, tmp_path: Path) -> None:
    """Catches a name that diffusers fails on for a user to read, and an option nobody knows."""
    with pytest.raises(UsageError, match="without a pipeline"):
        plugin.create(EditorOptions("nano", "cpu"))
    with pytest.raises(WeightsError, match="cannot load as a pipeline"):
        plugin.create(EditorOptions("nano", "cpu", target=str(tmp_path)))
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "NoSuchPipeline"}))
    with pytest.raises(WeightsError, match="cannot load as a pipeline"):
        plugin.create(EditorOptions("nano", "cpu", target=str(tmp_path)))
    with pytest.raises(UsageError, match="'sharpness', which Kontext does not have"):
        plugin.DiffusersEditor(Kontext(), "cpu", None, plugin.Settings(options={"sharpness": 1.0}))
