"""The transformer: Wan's names, Wan's size, and the numbers of the diffusers model."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from tiny_model import CPU, TINY, draw_latents, tiny_dit

from liveedit_cam.model import WAN_1_3B
from liveedit_cam.model.attention import MaskedAttend, rotation_table
from liveedit_cam.model.dit import CausalDiT
from liveedit_cam.model.features import PLACE_SIZE, place_features, timestep_features

PLACED = replace(TINY, position_waves=2, text_modulation=True)
"""With what nano has and Wan has not."""

TOP = """
patch_embedding.bias patch_embedding.weight
text_embedding.0.bias text_embedding.0.weight text_embedding.2.bias text_embedding.2.weight
time_embedding.0.bias time_embedding.0.weight time_embedding.2.bias time_embedding.2.weight
time_projection.1.bias time_projection.1.weight
head.head.bias head.head.weight head.modulation
"""

BLOCK = """
modulation norm3.bias norm3.weight
self_attn.q.bias self_attn.q.weight self_attn.k.bias self_attn.k.weight
self_attn.v.bias self_attn.v.weight self_attn.o.bias self_attn.o.weight
self_attn.norm_q.weight self_attn.norm_k.weight
cross_attn.q.bias cross_attn.q.weight cross_attn.k.bias cross_attn.k.weight
cross_attn.v.bias cross_attn.v.weight cross_attn.o.bias cross_attn.o.weight
cross_attn.norm_q.weight cross_attn.norm_k.weight
ffn.0.bias ffn.0.weight ffn.2.bias ffn.2.weight
"""

DIFFUSERS = (
    ("text_embedding.0", "condition_embedder.text_embedder.linear_1"),
    ("text_embedding.2", "condition_embedder.text_embedder.linear_2"),
    ("time_embedding.0", "condition_embedder.time_embedder.linear_1"),
    ("time_embedding.2", "condition_embedder.time_embedder.linear_2"),
    ("time_projection.1", "condition_embedder.time_proj"),
    ("head.modulation", "scale_shift_table"),
    ("head.head", "proj_out"),
    (".modulation", ".scale_shift_table"),
    (".norm3.", ".norm2."),
    (".self_attn.o.", ".attn1.to_out.0."),
    (".cross_attn.o.", ".attn2.to_out.0."),
    (".self_attn.norm", ".attn1.norm"),
    (".cross_attn.norm", ".attn2.norm"),
    (".self_attn.", ".attn1.to_"),
    (".cross_attn.", ".attn2.to_"),
    (".ffn.0.", ".ffn.net.0.proj."),
    (".ffn.2.", ".ffn.net.2."),
)
"""Part of a Wan-native name -> the same in diffusers; the first that fits, in this order."""


def diffusers_name(name: str) -> str:
    """Name of a Wan-native tensor in diffusers' WanTransformer3DModel."""
    for ours, theirs in DIFFUSERS:
        if ours in name:
            return name.replace(ours, theirs)
    return name


def test_released_size_has_wans_names_and_shapes() -> None:
    """Catches a renamed or missing tensor, which released weights would not fill."""
    with torch.device("meta"):
        dit = CausalDiT(WAN_1_3B)
    state = dit.state_dict()
    top, block = TOP.split(), BLOCK.split()
    expected = {*top, *(f"blocks.{layer}.{name}" for layer in range(30) for name in block)}
    assert state.keys() == expected
    assert (len(top), len(block), len(state)) == (15, 27, 825)
    assert sum(tensor.numel() for tensor in state.values()) == 1_419_095_104
    assert state["patch_embedding.weight"].shape == (1536, 32, 1, 2, 2)
    assert state["head.head.weight"].shape == (64, 1536)
    assert state["blocks.29.modulation"].shape == (1, 6, 1536)


def test_an_untrained_model_predicts_zero() -> None:
    """Catches a head that starts at random: training would begin by destroying the picture."""
    dit = CausalDiT(TINY).requires_grad_(False)
    x = draw_latents(TINY, 1, 0)
    out = evaluate(dit, x, x, torch.tensor([[500.0]]), torch.zeros(1, 3, TINY.text.width))
    assert float(out.abs().max()) == 0.0


def evaluate(
    dit: CausalDiT,
    noisy: torch.Tensor,
    source: torch.Tensor,
    timestep: torch.Tensor,
    embeddings: torch.Tensor,
) -> torch.Tensor:
    """One bidirectional pass over a whole sequence."""
    grid = dit.grid(noisy)
    rotation = rotation_table(range(noisy.shape[2]), grid, dit.config.head_dim)
    return dit(noisy, source, timestep, dit.text_kv(embeddings), MaskedAttend(rotation, None))


@pytest.mark.parametrize("shares_timestep", [True, False], ids=["one timestep", "one per latent"])
def test_agrees_with_diffusers(shares_timestep: bool) -> None:
    """Catches any deviation from Wan's block: modulation order, norms, rotation, patch order.

    Two float32 implementations of the same sums of numbers of order 1, hence 1e-5.
    """
    from diffusers.models.transformers.transformer_wan import WanTransformer3DModel

    dit = tiny_dit()
    theirs = WanTransformer3DModel(
        num_attention_heads=TINY.num_heads,
        attention_head_dim=TINY.head_dim,
        in_channels=2 * TINY.latent_channels,
        out_channels=TINY.latent_channels,
        text_dim=TINY.text.width,
        freq_dim=TINY.freq_dim,
        ffn_dim=TINY.ffn_dim,
        num_layers=TINY.num_layers,
        rope_max_seq_len=64,
    ).eval()
    state = dit.state_dict()
    theirs.load_state_dict({diffusers_name(name): tensor for name, tensor in state.items()})
    noisy, source = draw_latents(TINY, 3, 1), draw_latents(TINY, 3, 2)
    drawn = torch.Generator().manual_seed(3)
    embeddings = torch.randn(1, 5, TINY.text.width, generator=drawn)
    timestep = torch.full((1, 3), 750.0) if shares_timestep else torch.tensor([[0.0, 250, 1000]])
    tokens = dit.grid(noisy)[0] * dit.grid(noisy)[1]
    given = timestep[:, 0] if shares_timestep else timestep.repeat_interleave(tokens, dim=1)
    with torch.no_grad():
        (expected,) = theirs(torch.cat((noisy, source), 1), given, embeddings, return_dict=False)
    got = evaluate(dit, noisy, source, timestep, embeddings)
    assert expected.abs().mean() > 0.1
    assert float((got - expected).abs().max()) <= 1e-5


def test_patches_are_the_convolution() -> None:
    """Catches a patch whose values are in another order than Conv3d's weight.

    Sums of 64 float32 products of order 0.1 each, in another order: 1e-5.
    """
    dit = tiny_dit()
    noisy, source = draw_latents(TINY, 2, 1), draw_latents(TINY, 2, 2)
    tokens, _, _ = dit.embed(noisy, source, torch.zeros(1, 2))
    by_convolution = dit.patch_embedding(torch.cat((noisy, source), 1)).flatten(2).transpose(1, 2)
    assert torch.allclose(tokens, by_convolution, rtol=0, atol=1e-5)
    assert not torch.allclose(tokens, dit.embed(source, noisy, torch.zeros(1, 2))[0], atol=0.1)


def test_text_rows_are_not_masked_and_matter() -> None:
    """Catches a padding mask in the cross-attention (Wan has none) and text without effect."""
    dit = tiny_dit()
    x = draw_latents(TINY, 1, 0)
    timestep, row = torch.tensor([[500.0]]), torch.ones(1, 1, TINY.text.width)
    padded = F.pad(row, (0, 0, 0, 4))
    without, with_padding = (evaluate(dit, x, x, timestep, e) for e in (row, padded))
    assert (without - with_padding).abs().max() > 1e-4


def test_timestep_features_are_cosines_then_sines() -> None:
    """Catches sines first, and a base or a denominator of another convention."""
    got = timestep_features(torch.tensor([250.0]), 4)
    angles = torch.tensor([250.0, 250.0 * 10000**-0.5], dtype=torch.float64)
    expected = torch.cat((angles.cos(), angles.sin())).float()
    assert torch.allclose(got[0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("height", [64, 32])
def test_batch_rows_do_not_mix(height: int) -> None:
    """Catches a flatten across the batch; also at another picture size than the model's own."""
    dit = tiny_dit()
    noisy, source = (draw_latents(TINY, 2, s)[..., : height // 8, :] for s in (1, 2))
    drawn = torch.Generator().manual_seed(0)
    embeddings = torch.randn(2, 3, TINY.text.width, generator=drawn)
    timestep = torch.tensor([[1000.0, 500.0], [250.0, 0.0]])
    pair = evaluate(
        dit, torch.cat((noisy, source)), torch.cat((source, noisy)), timestep, embeddings
    )
    second = evaluate(dit, source, noisy, timestep[1:], embeddings[1:])
    assert torch.allclose(pair[1:], second, rtol=0, atol=1e-5)


def test_places_are_cosines_of_the_token_middles() -> None:
    """Catches rows and columns exchanged, and places counted from a token's corner."""
    got = place_features((2, 4), 2, CPU).view(2, 4, 5)
    x, y = 2.5 / 4, 1.5 / 2
    expected = [math.cos(k * math.pi * place) for place in (x, y) for k in (1, 2)]
    assert got[1, 2].tolist() == pytest.approx(
        [PLACE_SIZE * value for value in (*expected, math.log(2))], abs=1e-5
    )


def test_nanos_extra_parts_add_nothing_until_trained() -> None:
    """Catches parts that start at random: weights trained without them could not be continued."""
    plain, placed = tiny_dit(), tiny_dit(PLACED)
    missing, unexpected = placed.load_state_dict(plain.state_dict(), strict=False)
    assert len(missing) == 1 + PLACED.num_layers
    assert not unexpected
    x, timestep = draw_latents(TINY, 2, 1), torch.tensor([[500.0, 250.0]])
    drawn = torch.Generator().manual_seed(0)
    text = torch.randn(1, 3, TINY.text.width, generator=drawn)
    first, second = (evaluate(dit, x, x, timestep, text) for dit in (plain, placed))
    assert torch.equal(first, second)


def test_places_break_the_symmetry_of_a_flat_picture() -> None:
    """Catches place features that do not reach their token, or differ between latents."""
    dit = tiny_dit(PLACED)
    flat = torch.zeros(1, TINY.latent_channels, 2, 4, 8)
    args = (flat, flat, torch.full((1, 2), 500.0))
    tokens, _, _ = dit.embed(*args)
    assert float(tokens.std(dim=1).max()) == 0.0
    torch.nn.init.normal_(dit.position_embedding.weight)  # type: ignore[union-attr]  # it has one
    tokens, _, _ = dit.embed(*args)
    first, second = tokens[0].split(8)
    assert torch.equal(first, second)
    assert float(torch.cdist(first, first).fill_diagonal_(9).min()) > 0.1


def test_the_summary_row_modulates_each_sample_by_itself() -> None:
    """Catches modulation by another sample's instruction, or by a row that is not the first."""
    dit = tiny_dit(PLACED)
    x, timestep = draw_latents(TINY, 1, 1), torch.tensor([[500.0]])
    drawn = torch.Generator().manual_seed(0)
    text = torch.randn(2, 3, TINY.text.width, generator=drawn)
    for block in dit.blocks:
        block.cross_attn.o.weight.zero_()  # text acts through the modulation alone
        torch.nn.init.normal_(block.text_modulation.weight, std=0.1)
    pair = evaluate(dit, x.repeat(2, 1, 1, 1, 1), x.repeat(2, 1, 1, 1, 1), timestep, text)
    assert float((pair[0] - pair[1]).abs().max()) > 1e-3
    alone = evaluate(dit, x, x, timestep, text[1:])
    assert torch.allclose(pair[1:], alone, rtol=0, atol=1e-5)
    text[:, 1:] = 0
    same = evaluate(dit, x, x, timestep, text[1:])
    assert torch.allclose(same, alone, rtol=0, atol=1e-5)
