"""Where the text encoder works, which codec runs, and what is warmed up: the first run on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from test_wan_stream import PROMPT, TINY_WAN, folder, play
from tiny_model import CPU, moving_frames

from liveedit_cam.errors import WeightsError
from liveedit_cam.model import EditStream
from liveedit_cam.model.governor import Setting
from liveedit_cam.model.latent_stream import NUM_CODEC_WARM_UPS
from liveedit_cam.model.mask_view import REUSED_BRIGHTNESS, MaskShown, darken_reused
from liveedit_cam.model.speed.fast import Speed
from liveedit_cam.model.wan import load
from liveedit_cam.model.wan.load import LIGHT_CODEC_FILE, ROOM_BYTES, LazyText, load_wan
from liveedit_cam.model.wan.taehv import TAEHV
from liveedit_cam.model.wan.umt5 import PromptEmbedding, Umt5Encoder
from liveedit_cam.types import CodecChoice

__all__ = ["folder"]

MakeText = Callable[..., tuple[LazyText, "FakeEncoder"]]

META = torch.device("meta")
"""Stands for a GPU: a place that is not the processor."""
LEFT_ALONE = replace(TINY_WAN, prediction="source_change")
"""What a network of this kind predicts is added to the source."""


class FakeEncoder(Umt5Encoder):
    """Notes where it worked; raises what a full device raises."""

    def __init__(self, path: Path, *, is_full: bool = False) -> None:
        super().__init__(path, META, torch.float32, max_tokens=4)
        self.is_full = is_full
        self.places: list[str] = []
        self.kept = False

    @property
    def is_loaded(self) -> bool:
        return self.kept

    def identity(self) -> str:
        return "fake"

    def num_bytes(self) -> int:
        return 11 << 30

    def embed(self, prompts: Sequence[str]) -> list[PromptEmbedding]:
        self.places.append(self.device.type)
        self.kept = True
        if self.is_full and self.device.type != "cpu":
            raise torch.OutOfMemoryError("no room")
        return [PromptEmbedding(torch.zeros(2, 3)) for _ in prompts]

    def free(self) -> None:
        self.kept = False


@pytest.fixture
def lazy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeText:
    """Makes a text encoder of 11 GiB on a device with ``free`` bytes."""

    def lazy(free: int, *, is_full: bool = False) -> tuple[LazyText, FakeEncoder]:
        encoder = FakeEncoder(tmp_path, is_full=is_full)
        monkeypatch.setattr(load, "Umt5Encoder", lambda *_, **options: encoder)
        return LazyText(tmp_path, META, torch.float32, 4, lambda device: free), encoder

    return lazy


def test_a_card_without_room_encodes_on_the_processor(lazy: MakeText) -> None:
    """Catches a 16 GB card that refuses every new instruction: 11 GiB do not fit beside."""
    text, encoder = lazy(4 << 30)
    text(["one"])
    assert encoder.places == ["cpu"]


def test_where_memory_runs_out_it_goes_on_on_the_processor(lazy: MakeText) -> None:
    """Catches free memory that is believed, and an instruction lost to it."""
    text, encoder = lazy(80 << 30, is_full=True)
    assert text(["one"]).shape == (1, 4, 3)
    text(["two"])
    assert encoder.places == ["meta", "cpu", "cpu"]


@pytest.mark.parametrize(("free", "stays"), [(80 << 30, True), ((12 << 30) + 1, True)])
def test_it_stays_where_there_is_room(lazy: MakeText, free: int, stays: bool) -> None:
    """Catches 11 GB read again for every instruction on a card of 80 GB."""
    text, encoder = lazy(free)
    text(["one"])
    assert encoder.kept == (stays and free >= ROOM_BYTES)
    assert text.let_go() == encoder.is_loaded or not encoder.kept
    text(["two"])
    assert not encoder.kept


def test_what_the_encoder_cuts_is_told(folder: Path) -> None:
    """Catches a long instruction whose end is dropped in silence, encoded or met before."""
    stream = load_wan(folder, TINY_WAN, CPU, torch.float32)
    long = PROMPT + " And let it snow a little over the far hills, and rain over the near ones."
    for _ in range(2):  # the second comes from prompts/
        text = stream.encode_text(long)
        assert text.unread
        assert long.endswith(text.unread)
        assert stream.encode_text("Add snow").unread == ""


@pytest.fixture(scope="module")
def light_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with a light codec of random weights beside it."""
    path = tmp_path_factory.mktemp("light") / "model"
    path.symlink_to(folder, target_is_directory=True)
    torch.manual_seed(0)
    save_file(TAEHV().state_dict(), folder / LIGHT_CODEC_FILE)
    return folder


def leaving_alone(path: Path, codec: CodecChoice) -> EditStream:
    """A model whose edits are the source itself, in latents."""
    stream = load_wan(path, LEFT_ALONE, CPU, torch.float32, codec=codec)
    for weights in stream.dit.head.head.parameters():
        weights.zero_()
    return stream


def test_the_light_codecs_losses_are_no_edit(light_folder: Path) -> None:
    """Catches an edit compared with the camera's picture: all that the codec blurs would change.

    Random weights decode to noise, far from the source: compared with the decoded source, an edit
    of strength 0 in latents changes nothing.
    """
    stream = leaving_alone(light_folder, "tiny")
    clip = moving_frames(stream.chunk_frames, 64, 96)
    edited = stream.edit(clip, stream.encode_text(PROMPT))
    assert np.array_equal(edited, clip)


def test_stepping_down_to_the_light_codec_compares_alike(light_folder: Path) -> None:
    """Catches the ladder's light codec that is compared with the camera's picture."""
    stream = leaving_alone(light_folder, "wan")
    assert any(setting.uses_light_codec for setting in stream.ladder())
    stream.apply(Setting(stream.config, uses_light_codec=True))
    clip = moving_frames(stream.chunk_frames, 64, 96)
    assert np.array_equal(stream.edit(clip, stream.encode_text(PROMPT)), clip)


def test_a_light_codec_that_is_not_there_is_named(tmp_path: Path, folder: Path) -> None:
    """Catches a file error deep in a load."""
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("model.safetensors", "vae"):
        (bare / name).symlink_to(folder / name)
    with pytest.raises(WeightsError, match="got codec tiny, but taew2_1"):
        load_wan(bare, TINY_WAN, CPU, torch.float32, codec="tiny")


def test_a_change_of_size_is_warmed_up_and_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches minutes of compiling in the middle of a call, and a warm-up that leaves state."""
    speed = Speed(channels_last=True, num_buckets=2)
    warm = load_wan(folder, TINY_WAN, CPU, torch.float32, speed=speed)
    cold = load_wan(folder, TINY_WAN, CPU, torch.float32, speed=speed)
    sizes: list[tuple[int, ...]] = []
    encode = warm.codec.encode

    def noted(frames: torch.Tensor) -> torch.Tensor:
        sizes.append(frames.shape[-2:])
        return encode(frames)

    monkeypatch.setattr(warm.codec, "encode", noted)
    warm.warm_up(64, 96)
    texts = [(stream, stream.encode_text(PROMPT)) for stream in (warm, cold)]
    for size in ((64, 96), (96, 64)):
        for stream, _ in texts:
            stream.reset()
        shown = [play(stream, [text] * 2, size) for stream, text in texts]
        assert all(np.array_equal(a, b) for a, b in zip(*shown, strict=True))
    num_chunks = NUM_CODEC_WARM_UPS + 2
    assert sizes == [(32, 48)] * num_chunks + [(48, 32)] * num_chunks


def darken_all(frames: np.ndarray, recomputed: torch.Tensor | None) -> None:
    for number, frame in enumerate(frames):
        darken_reused(frame, len(frames) - 1 - number, recomputed, 4)


def test_the_mask_can_be_seen(folder: Path) -> None:
    """Catches a mask of another chunk or size, and frames of the first chunk one latent off."""
    config = replace(TINY_WAN, mask_share=0.5, mask_alignment=True)
    stream = load_wan(folder, config, CPU, torch.float32)
    text = stream.encode_text(PROMPT)
    play(stream, [text])
    assert stream.recomputed is None  # the first chunk is whole
    play(stream, [text])
    recomputed = stream.recomputed
    assert recomputed is not None
    assert recomputed.sum(dim=(1, 2)).tolist() == [3, 3, 3]  # half of six tokens, in each latent
    frames = np.full((9, 32, 48, 3), 100, np.uint8)
    darken_all(frames, recomputed)
    shade = round(100 * REUSED_BRIGHTNESS)
    for frame, latent in zip(frames, [0, 1, 1, 1, 1, 2, 2, 2, 2], strict=True):
        cells = frame[8::16, 8::16, 0]
        assert np.array_equal(cells == 100, recomputed[latent].numpy())
        assert set(np.unique(cells)) == {100, shade}
    whole = frames.copy()
    darken_all(whole, None)
    assert np.array_equal(whole, frames)
    shown = MaskShown(stream)
    clip = moving_frames(shown.chunk_frames, 32, 48)
    seen = np.stack(list(shown.edit_each([frame.copy for frame in clip], text)))
    plain = load_wan(folder, config, CPU, torch.float32)
    same = plain.encode_text(PROMPT)  # another conditioning would be another instruction
    for _ in range(2):
        play(plain, [same])
    edited = plain.edit(clip, same)
    assert not np.array_equal(seen, edited)
    darken_all(edited, plain.recomputed)
    assert np.array_equal(seen, edited)
