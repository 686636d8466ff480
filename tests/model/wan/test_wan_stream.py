"""The released model's live path, from its files to edited frames, at a thousandth of its size."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from numpy.typing import NDArray
from tiny_model import CPU, TINY, moving_frames, tiny_dit

from liveedit_cam.engine.client import EngineClient
from liveedit_cam.engine.messages import Edited, Encoded, Ready
from liveedit_cam.engine.supervisor import EngineSupervisor
from liveedit_cam.engine.wake import Waker
from liveedit_cam.errors import EditorError, UsageError, WeightsError
from liveedit_cam.model import WAN_1_3B, EditStream, TextConditioning, load
from liveedit_cam.model.conditioning import KVPolicy
from liveedit_cam.model.config import CodecConfig, TextConfig
from liveedit_cam.model.governor import memory_ladder
from liveedit_cam.model.speed.fast import Speed
from liveedit_cam.model.wan.checkpoint import convert
from liveedit_cam.model.wan.load import load_wan
from liveedit_cam.protocols import EditorOptions
from liveedit_cam.types import EditInstruction, ModelFrame

pytest.importorskip("transformers")
from test_umt5 import WIDTH, write_encoder

Clip = NDArray[np.uint8]
E = TypeVar("E")

TINY_WAN = replace(
    TINY,
    name="tiny-wan",
    codec=CodecConfig(latent_channels=16, kind="wan"),
    text=TextConfig(width=WIDTH, max_tokens=12),
    prediction="flow",
    height=32,
    width=48,
    chunk_latents=3,
    window_latents=12,
    num_sink_latents=3,
)
"""6 tokens a latent at its own picture size, and all else as WAN_1_3B."""

PROMPT, OTHER = "Make the background a blue night.", "Add snow"
HEIGHT, WIDTH_PX = 64, 96
PATIENCE_S = 60.0
"""A bound for a loaded machine, never waited for when all is well."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder as ``models pull`` leaves it; nobody changes it but for prompts/."""
    path = tmp_path_factory.mktemp("tiny-wan")
    (path / "config.json").write_text(json.dumps(TINY_WAN.to_dict()))
    weights = tiny_dit(TINY_WAN).state_dict()
    released = path / "ar-forcing_002000.pt"
    torch.save({"generator": {f"model.{name}": x for name, x in weights.items()}}, released)
    convert(released, path / "model.safetensors", TINY_WAN)
    released.unlink()
    torch.manual_seed(0)
    vae = AutoencoderKLWan(base_dim=4, num_res_blocks=1).eval().requires_grad_(False)
    vae.decoder.conv_out.bias.fill_(0.5)
    vae.save_pretrained(path / "vae")
    write_encoder(path / "text")
    return path


def wan(folder: Path, **options: KVPolicy) -> EditStream:
    """The folder's model in float32, whatever this machine multiplies fastest."""
    return load_wan(folder, TINY_WAN, CPU, torch.float32, **options)  # type: ignore[arg-type]


def play(
    stream: EditStream, texts: list[TextConditioning], size: tuple[int, int] = (HEIGHT, WIDTH_PX)
) -> list[Clip]:
    """Edited chunks of a moving picture, the text of each in turn."""
    clip, start, shown = moving_frames(12 * len(texts), *size), 0, []
    for text in texts:
        chunk = clip[start : start + stream.chunk_frames]
        start += len(chunk)
        shown.append(stream.edit(chunk, text))
        assert shown[-1].shape == chunk.shape
        assert not np.array_equal(shown[-1], chunk)
    return shown


def same(one: list[Clip], other: list[Clip]) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def test_a_gpu_without_bfloat16_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a float32 model of twice the memory on an old card, and a folder read before."""
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    with pytest.raises(UsageError, match="Tesla T4, which has no bfloat16, for tiny-wan") as caught:
        load_wan(tmp_path, TINY_WAN, torch.device("cuda"), torch.float32)
    assert "--model nano" in str(caught.value.hint)


def test_the_stand_in_is_shaped_as_the_released_model() -> None:
    """Catches a stand-in that proves another path: chunks, window, codec, prediction, steps."""
    for name in ("prediction", "chunk_latents", "window_latents", "num_sink_latents", "timesteps"):
        assert vars_of(TINY_WAN)[name] == vars_of(WAN_1_3B)[name]
    assert TINY_WAN.latent_channels == WAN_1_3B.latent_channels


def vars_of(config: object) -> dict[str, object]:
    return {name: getattr(config, name) for name in TINY_WAN.to_dict()}


def test_files_to_edited_frames(folder: Path) -> None:
    """Catches a first chunk of 12 frames, a window that does not roll, and a lost size or type."""
    stream = load(str(folder), "cpu", speed=Speed(num_buckets=2))
    assert stream.speed == Speed(num_buckets=2)
    text = stream.encode_text(PROMPT)
    assert text.unknown == ()
    assert text.kv[0][0].shape == (1, 12, TINY_WAN.num_heads, TINY_WAN.head_dim)
    frames, latents = [], []
    for shown in range(6):
        frames.append(stream.chunk_frames)
        (edited,) = play(stream, [text])
        assert edited.dtype == np.uint8
        latents.append(stream.kv_latents)
        assert 0.0 <= stream.skip_ratio <= 1.0, shown
    assert frames == [9, 12, 12, 12, 12, 12]
    assert latents == [3, 6, 9, 12, 12, 12]


def test_reset_starts_at_nine_frames_and_repeats(folder: Path) -> None:
    """Catches state of codec, caches or noise that survives, and another stream's that leaks in."""
    stream, other = wan(folder), wan(folder)
    texts = [stream.encode_text(PROMPT)] * 5
    first = play(stream, texts)
    play(other, [other.encode_text(OTHER)] * 2)
    stream.reset()
    assert stream.chunk_frames == 9
    assert same(first, play(stream, texts))


@pytest.mark.parametrize("policy", ["keep", "recache", "reset"])
def test_another_instruction_takes_effect_at_once(folder: Path, policy: KVPolicy) -> None:
    """Catches the old text's keys and values in use, or a codec that starts again at a switch."""
    stream = wan(folder, kv_policy=policy)
    one, two = stream.encode_text(PROMPT), stream.encode_text(OTHER)
    unchanged = play(stream, [one] * 4)
    stream.reset()
    switched = play(stream, [one] * 3 + [two])
    assert same(unchanged[:3], switched[:3])
    assert not np.array_equal(unchanged[3], switched[3])
    assert stream.chunk_frames == 12
    assert stream.kv_latents == (3 if policy == "reset" else 12)


def test_another_size_starts_a_new_stream_and_says_what_it_wants(folder: Path) -> None:
    """Catches 12 frames fed to a codec that was just reset: it takes 9 and would raise inside."""
    stream = wan(folder)
    text = stream.encode_text(PROMPT)
    play(stream, [text] * 2)
    with pytest.raises(EditorError) as caught:
        stream.edit(moving_frames(12, 96, 64), text)
    assert "got frames of shape (12, 96, 64, 3), expected (9, H, W, 3)" in str(caught.value)
    assert "Another picture size starts a new stream." in str(caught.value)
    assert stream.chunk_frames == 9
    turned = play(stream, [text] * 2, (96, 64))
    fresh = wan(folder)
    assert same(turned, play(fresh, [fresh.encode_text(PROMPT)] * 2, (96, 64)))


def test_less_memory_starts_at_nine_frames(folder: Path) -> None:
    """Catches a stream that was told to do without and then asks for 12 frames of a new codec."""
    stream = wan(folder)
    text = stream.encode_text(PROMPT)
    ladder = memory_ladder(TINY_WAN, has_light_codec=False, has_large_text=False)
    for setting in dict.fromkeys(ladder[1:]):  # half of so small a picture is no smaller
        play(stream, [text])
        stream.apply(setting)
        assert stream.chunk_frames == 9
        play(stream, [text] * 4)
        assert stream.kv_latents == setting.config.window_latents


def test_prompts_encoded_before_need_no_encoder(folder: Path, tmp_path: Path) -> None:
    """Catches an encoder that is read although the prompt is cached, or a cache never written."""
    stream = wan(folder)
    shown = play(stream, [stream.encode_text(PROMPT)] * 2)
    copy = shutil.copytree(folder, tmp_path / "without", ignore=shutil.ignore_patterns("text"))
    bare = wan(copy)
    assert same(shown, play(bare, [bare.encode_text(PROMPT)] * 2))
    with pytest.raises(WeightsError):
        bare.encode_text("Turn it into a watercolor.")


@pytest.fixture
def engine(folder: Path) -> Iterator[EngineSupervisor]:
    """The engine process with the diffusion editor over the tiny model."""
    client = EngineClient("diffusion", EditorOptions(str(folder), "cpu"), Waker())
    supervisor = EngineSupervisor(client, answer_timeout_s=PATIENCE_S)
    yield supervisor
    supervisor.close()


def expect(engine: EngineSupervisor, kind: type[E]) -> E:
    """Poll until an event of this kind; every other event on the way is a failure of the test."""
    give_up_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_at:
        event = engine.poll(0.2)
        if event is not None:
            assert isinstance(event, kind), event
            return event
    raise AssertionError(f"no {kind.__name__} within {PATIENCE_S} s")


@pytest.mark.slow
def test_chunks_of_nine_and_twelve_travel_to_the_engine(engine: EngineSupervisor) -> None:
    """Catches a first size that is taken for all, and order lost on the way."""
    engine.instruct(EditInstruction(PROMPT, revision=1))
    assert expect(engine, Ready).chunk_frames == 9
    told = expect(engine, Encoded).notice
    assert told is not None  # it has more than the 12 tokens of this model
    assert "its end is not read" in told
    clip, start = moving_frames(60, HEIGHT, WIDTH_PX), 0
    for wanted, revision in ((9, 1), (12, 1), (12, 2)):
        if revision == 2:
            engine.instruct(EditInstruction(OTHER, revision=2))
            expect(engine, Encoded)
        assert engine.chunk_frames == wanted
        frames = [ModelFrame(clip[i], i, 0.1 * i) for i in range(start, start + wanted)]
        engine.submit(frames, every_frame=True)
        edited = expect(engine, Edited).fields
        start += wanted
        assert [(f.index, f.captured_at) for f in edited] == [
            (f.index, f.captured_at) for f in frames
        ]
        assert {f.revision for f in edited} == {revision}

        assert edited[-1].cells.any()
