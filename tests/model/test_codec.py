"""The codec: a stream equals a whole clip, and the transform is orthonormal."""

from __future__ import annotations

import pytest
import torch
from tiny_model import TINY, tiny_codec

from liveedit_cam.errors import EditorError
from liveedit_cam.model.codec import Codec
from liveedit_cam.model.config import CodecConfig

SMALL = CodecConfig(
    latent_channels=24, spatial_stride=2, frames_per_latent=2, decoder_width=4, decoder_blocks=1
)
"""As many channels as a block has values: 3 x 2 frames x 2 x 2 pixels."""


def clip(num_frames: int, height: int, width: int, batch: int = 1) -> torch.Tensor:
    """Random frames (B, 3, T, H, W) in [0, 1]."""
    drawn = torch.Generator().manual_seed(num_frames)
    return torch.rand(batch, 3, num_frames, height, width, generator=drawn)


def test_encoding_chunk_by_chunk_equals_the_whole() -> None:
    """Catches an encoder that looks across chunks; equal but for the order of float32 sums."""
    codec = tiny_codec()
    frames = clip(12, 16, 24)
    whole = codec.encode(frames)
    assert whole.shape == (1, TINY.latent_channels, 3, 2, 3)
    parts = [codec.encode(frames[:, :, i : i + 4]) for i in (0, 4, 8)]
    assert torch.allclose(torch.cat(parts, 2), whole, rtol=0, atol=1e-5)


def test_decoding_latent_by_latent_equals_the_whole() -> None:
    """Catches a stream decoder that forgets the latent before; ``before`` must matter too."""
    codec = tiny_codec()
    latents = 0.3 * codec.encode(clip(16, 16, 24, batch=2))
    whole = codec.decode(latents)
    assert whole.shape == (2, 3, 16, 16, 24)
    before, parts = None, []
    for i in range(4):
        parts.append(codec.decode(latents[:, :, i : i + 1], before))
        before = latents[:, :, i : i + 1]
    assert torch.allclose(torch.cat(parts, 2), whole, rtol=0, atol=1e-5)
    alone = codec.decode(latents[:, :, 1:2])
    assert (alone - whole[:, :, 4:8]).abs().max() > 1e-3


def test_decoded_frames_are_pictures() -> None:
    """Catches a decoder without a clamp: values outside [0, 1] would wrap in uint8."""
    codec = tiny_codec()
    decoded = codec.decode(50 * codec.encode(clip(4, 16, 16)))
    assert (float(decoded.min()), float(decoded.max())) == (0.0, 1.0)


def test_as_many_channels_as_values_is_lossless() -> None:
    """Catches a transform that is not orthonormal or scaled on one side only.

    The fit is made in float64 and stored in float32, so 1e-5 is rounding.
    """
    codec = Codec(SMALL)
    frames = clip(8, 32, 32)
    blocks = codec.split_blocks(frames).movedim(1, -1).flatten(0, -2)
    codec.fit(blocks)
    assert torch.allclose(codec.decode(codec.encode(frames)), frames, rtol=0, atol=1e-5)
    gram = codec.basis @ codec.basis.T
    assert torch.allclose(gram, torch.eye(24), rtol=0, atol=1e-5)


def test_fitted_latents_have_unit_variance_largest_axis_first() -> None:
    """Catches unscaled latents, on which sigma would not mean what the schedule says."""
    codec = Codec(CodecConfig(6, spatial_stride=2, frames_per_latent=2, decoder_width=4))
    drawn = torch.Generator().manual_seed(0)
    spread = torch.linspace(1, 0.01, 24)
    blocks = 0.5 + torch.randn(5000, 24, generator=drawn) * spread
    codec.fit(blocks)
    latents = ((blocks - codec.mean) @ codec.basis.T) / codec.scale
    assert torch.allclose(latents.mean(0), torch.zeros(6), atol=1e-4)
    assert torch.allclose(latents.std(0), torch.ones(6), atol=1e-3)
    assert bool((codec.scale.diff() < 0).all())
    assert float(codec.scale[0]) == pytest.approx(1.0, rel=0.05)


def test_blocks_hold_the_pixels_of_one_place() -> None:
    """Catches a wrong axis order: block (t, h, w) is frames 4t.., rows 8h.., columns 8w.. ."""
    codec = tiny_codec()
    frames = clip(8, 24, 32)
    blocks = codec.split_blocks(frames)
    assert blocks.shape == (1, 768, 2, 3, 4)
    expected = frames[0, :, 4:8, 16:24, 8:16].flatten()
    assert torch.equal(blocks[0, :, 1, 2, 1], expected)
    assert torch.equal(codec.join_blocks(blocks), frames)


@pytest.mark.parametrize("shape", [(1, 3, 3, 16, 16), (1, 3, 4, 15, 16), (1, 3, 4, 16, 20)])
def test_wrong_sizes_are_refused(shape: tuple[int, ...]) -> None:
    """Catches a shape error from deep inside torch instead of got, expected and what to do."""
    with pytest.raises(EditorError) as caught:
        tiny_codec().encode(torch.zeros(shape))
    message = str(caught.value)
    assert str(shape) in message
    assert "T a multiple of 4, H and W of 8" in message
    assert message.endswith("Resize the picture and pass whole chunks.")
