"""What is computed of the codec's memory, against the codec itself run without numbers (meta)."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from liveedit_cam.model.config import WAN_1_3B
from liveedit_cam.model.wan.vae import WanCodec
from liveedit_cam.model.wan.vae_blocks import fuse
from liveedit_cam.store.needs import codec_numbers

autoencoders = pytest.importorskip("diffusers.models.autoencoders.autoencoder_kl_wan")


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of tensors made under it that are still there, and their most."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._seen = WeakIdKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage not in self._seen:
                    self._seen[storage] = True
                    self.now += storage.nbytes()
                    weakref.finalize(storage, self._gone, storage.nbytes())
        self.most = max(self.most, self.now)
        return out

    def _gone(self, num_bytes: int) -> None:
        self.now -= num_bytes


@contextmanager
def in_bfloat16_without_numbers() -> Iterator[None]:
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("meta"), torch.no_grad():
            yield
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.slow
@pytest.mark.parametrize("one_by_one", [False, True])
def test_the_codec_takes_what_is_computed(one_by_one: bool) -> None:
    """Catches a layer that is wider than the one counted: 480x832, later chunks, both ways.

    What the stream keeps between calls is counted apart; frames in float32 and what is renewed of
    the stream's memory come on top: a quarter, at most.
    """
    height, width = WAN_1_3B.height, WAN_1_3B.width
    with in_bfloat16_without_numbers():
        vae = autoencoders.AutoencoderKLWan().eval().requires_grad_(False)
        fuse(vae)
        codec = WanCodec(vae)
        codec.one_by_one = one_by_one
        latents = torch.zeros(1, 16, 3, height // 8, width // 8)
        with LiveBytes() as live:
            codec.encode(torch.zeros(1, 3, 9, height, width))
            codec.decode(latents)
            most = []
            for run, given in (
                (codec.encode, torch.zeros(1, 3, 12, height, width)),
                (codec.decode, latents),
            ):
                before = live.most = live.now
                run(given)
                most.append(live.most - before)
    computed = 2 * codec_numbers(WAN_1_3B, 1 if one_by_one else 3)
    assert max(most) == pytest.approx(computed, rel=0.25), (most, computed)
