"""The source encoder: norms folded without a trace, each picture by itself, heard by its tokens."""

from __future__ import annotations

from dataclasses import replace

import torch
from tiny_model import TINY, draw_latents, tiny_dit
from torch import nn

from liveedit_cam.model.config import ModelConfig, SourceEncoderConfig
from liveedit_cam.model.source_encoder import SourceEncoder, folded, unfold

SMALL = SourceEncoderConfig(widths=(6, 8, 12), depths=(1, 2, 1))
SEEING = replace(TINY, source_encoder=SMALL)


def test_folded_norms_change_nothing() -> None:
    """Catches a convolution that lost its norm's scale or shift, and a name that moved."""
    torch.manual_seed(0)
    trained = SourceEncoder(SMALL, TINY.latent_channels, normalises=True)
    for module in trained.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    latents = torch.randn(5, TINY.latent_channels, 7, 10) * 2 + 1
    for _ in range(3):
        trained.of_latents(latents)
    plain = SourceEncoder(SMALL, TINY.latent_channels)
    plain.load_state_dict(folded(trained.eval()))
    assert float(plain.of_latents(latents).detach().std()) > 0.1
    assert torch.allclose(plain.of_latents(latents), trained.of_latents(latents), atol=1e-5)


def test_a_folded_network_is_unfolded_to_learn_on() -> None:
    """Catches weights that begin anew where norms are put back, and a shift that is lost."""
    torch.manual_seed(0)
    plain = SourceEncoder(SMALL, TINY.latent_channels)
    for bias in (value for name, value in plain.named_parameters() if name.endswith("bias")):
        nn.init.normal_(bias)
    latents = torch.randn(5, TINY.latent_channels, 7, 10) * 2 + 1
    learning = SourceEncoder(SMALL, TINY.latent_channels, normalises=True)
    unfold(learning, plain.state_dict(), latents)
    assert torch.allclose(learning.of_latents(latents), plain.of_latents(latents), atol=1e-4)


def test_odd_grids_keep_their_size_and_pictures_stay_apart() -> None:
    """Catches a size lost on the way down and up, and a mean taken over the whole batch."""
    torch.manual_seed(0)
    encoder = SourceEncoder(SMALL, TINY.latent_channels)
    latents = torch.randn(3, TINY.latent_channels, 11, 9)
    features = encoder.of_latents(latents)
    assert features.shape == (3, SMALL.widths[0], 11, 9)
    assert torch.allclose(features[1:2], encoder.of_latents(latents[1:2]), atol=1e-6)


def test_a_new_encoder_says_nothing_until_it_is_listened_to() -> None:
    """Catches features that disturb weights trained without them, or reach the wrong token."""
    dit = tiny_dit(SEEING)
    source = torch.cat([draw_latents(SEEING, 3, seed) for seed in (1, 2)])
    args = (torch.zeros_like(source), source, torch.full((2, 3), 500.0))
    text = dit.text_kv(torch.randn(2, 3, SEEING.text.width))
    quiet, _, _ = dit.embed(*args, text)
    dit.source_encoder = None
    embedding, dit.source_embedding = dit.source_embedding, None
    without, _, _ = dit.embed(*args, text)
    assert torch.equal(quiet, without)

    torch.manual_seed(0)
    dit.source_encoder = SourceEncoder(SMALL, SEEING.latent_channels)
    dit.source_embedding = embedding
    assert embedding is not None
    nn.init.normal_(embedding.weight)
    heard, _, _ = dit.embed(*args, text)
    features = dit.source_encoder.of_latents(source[1:2, :, 2])
    p = SEEING.patch
    first = features[0, :, :p, :p].reshape(-1)  # the first token of the last latent
    grid = dit.grid(source)
    token = 2 * grid[0] * grid[1]
    told = (heard - quiet)[1, token]
    assert torch.allclose(told, embedding(first), atol=1e-4)


def test_maps_follow_their_own_instruction_and_reach_their_tokens() -> None:
    """Catches maps of another sample's instruction, and of another place."""
    torch.manual_seed(0)
    dit = tiny_dit(SEEING)
    assert dit.match is not None
    assert dit.source_encoder is not None
    nn.init.normal_(dit.match.query.weight)
    source = torch.cat([draw_latents(SEEING, 2, seed) for seed in (1, 2)])
    embeddings = torch.randn(2, 3, SEEING.text.width)
    features = torch.randn(2, SMALL.widths[0], 2, 4, 6)
    sought = dit.match.sought(embeddings)
    maps = dit.match(features, sought)
    assert maps.shape == (2, SMALL.num_matches, 2, 4, 6)
    swapped = dit.match(features.flip(0), dit.match.sought(embeddings.flip(0))).flip(0)
    assert torch.allclose(maps, swapped, atol=1e-5)
    assert torch.allclose(maps[:, :, 1:], dit.match(features[:, :, 1:], sought), atol=1e-5)

    args = (torch.zeros_like(source), source, torch.full((2, 2), 500.0))
    text = dit.text_kv(embeddings)
    assert len(text) == SEEING.num_layers + 1
    quiet, _, _ = dit.embed(*args, text)
    nn.init.normal_(dit.match_embedding.weight)
    heard, _, _ = dit.embed(*args, text)
    p, grid = SEEING.patch, dit.grid(source)
    found = dit.match(dit.source_encoder(source), sought).sigmoid()
    last = dit.match_embedding(found[1, :, 1, -p:, -p:].reshape(-1))
    token = 2 * grid[0] * grid[1] - 1
    assert torch.allclose((heard - quiet)[1, token], last, atol=1e-4)


def test_a_config_with_an_encoder_survives_its_file() -> None:
    """Catches sizes that come back as lists, and files of before that lack them."""
    assert ModelConfig.from_dict(SEEING.to_dict()) == SEEING
    former = SEEING.to_dict()
    del former["source_encoder"]
    assert ModelConfig.from_dict(former).source_encoder is None
