"""The text encoder UMT5: transformers' numbers, Wan's cleaning, 512 rows with zeros after."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from liveedit_cam.errors import WeightsError
from liveedit_cam.model.stream_codec import PromptEncoder
from liveedit_cam.model.wan.umt5 import PromptEmbedding, Umt5Encoder, clean_prompt, pad_rows

transformers = pytest.importorskip("transformers")

CPU = torch.device("cpu")
ROUNDING = 1e-6
"""Both run in float64 but for the norms, which transformers rounds to float32 (6e-8 of numbers
about 1), and sum over 512 rows or over those of the prompt alone."""
PROMPTS = ("Make the background a blue night.", "Add snow", "")
WIDTH = 32


def write_encoder(folder: Path, *, shards: bool = False) -> Path:
    """A folder in the release's form: a tiny UMT5 of random weights and a trained tokenizer."""
    config = transformers.UMT5Config(
        vocab_size=200, d_model=WIDTH, d_kv=8, d_ff=48, num_layers=2, num_heads=4
    )
    torch.manual_seed(0)
    model = transformers.UMT5EncoderModel(config)
    model.save_pretrained(folder, max_shard_size="20KB" if shards else "1GB")
    write_tokenizer(folder / "tokenizer.json")
    return folder


def write_tokenizer(path: Path, *, end: str = "</s>", pad_to: int | None = 8) -> None:
    """Sentence pieces as T5's: a unigram model, words begin with ▁, a text ends with </s>."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>"
    )
    tokenizer.train_from_iterator([*PROMPTS, "Turn it into a watercolor."], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=["$A", end], special_tokens=[(end, tokenizer.token_to_id(end))]
    )
    if pad_to is not None:  # as some published files ask for
        tokenizer.enable_padding(length=pad_to)
        tokenizer.enable_truncation(pad_to)
    tokenizer.save(str(path))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One encoder for all tests; nobody changes it."""
    return write_encoder(tmp_path_factory.mktemp("text"))


def encoder(folder: Path, **options: int) -> Umt5Encoder:
    return Umt5Encoder(folder, CPU, torch.float64, **options)


def reference(folder: Path, prompt: str, max_tokens: int = 512) -> tuple[torch.Tensor, int]:
    """transformers' own way: padded to 512 with a mask; rows past the length zeroed by hand."""
    model = transformers.UMT5EncoderModel.from_pretrained(folder).double().eval()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), pad_token="<pad>", eos_token="</s>"
    )
    given = tokenizer(
        prompt,
        padding="max_length",
        truncation=True,
        max_length=max_tokens,
        return_tensors="pt",
    )
    with torch.no_grad():
        out = model(given.input_ids, attention_mask=given.attention_mask).last_hidden_state
    length = int(given.attention_mask.sum())
    out[:, length:] = 0
    return out, length


@pytest.mark.parametrize("prompt", PROMPTS)
def test_agrees_with_transformers(folder: Path, prompt: str) -> None:
    """Catches lost special tokens, padding that reaches a row, and embeddings left at random."""
    expected, length = reference(folder, prompt)
    got = encoder(folder)([prompt])
    assert got.shape == expected.shape == (1, 512, WIDTH)
    assert float(got[0, :length].abs().amax(1).min()) > 0.1
    assert float(got[0, length:].abs().max()) == 0.0
    assert float((got - expected).abs().max()) <= ROUNDING


def test_a_prompt_does_not_depend_on_its_neighbours(folder: Path) -> None:
    """Catches padding of a batch that changes the shorter prompt, and rows in another order."""
    text = encoder(folder)
    together = text(PROMPTS)
    assert together.shape == (3, 512, WIDTH)
    for row, prompt in zip(together, PROMPTS, strict=True):
        assert torch.allclose(row, text([prompt])[0], rtol=0, atol=ROUNDING)
    assert isinstance(text, PromptEncoder)


def test_a_long_prompt_is_cut_and_says_so(folder: Path) -> None:
    """Catches a cut that loses the end token, and one that nobody hears of."""
    prompt = "Add snow. " * 150
    expected, length = reference(folder, clean_prompt(prompt))
    (got,) = encoder(folder).embed([prompt])
    assert length == len(got.rows) == 512
    assert float((got.rows - expected[0]).abs().max()) <= ROUNDING
    (whole,) = encoder(folder, max_tokens=10_000).embed([prompt])
    assert got.num_cut == len(whole.rows) - 512 > 0
    assert (whole.notice, whole.unread) == (None, "")
    assert got.unread
    assert clean_prompt(prompt).endswith(got.unread)
    (rest,) = encoder(folder, max_tokens=10_000).embed([got.unread])
    assert 0 <= len(rest.rows) - 1 - got.num_cut <= 5  # a word of a few pieces may be cut in two
    assert got.unread.split()[0] in prompt.split()
    assert got.notice is not None
    assert f"{got.num_cut} tokens longer than the 512" in got.notice


def test_prompts_are_cleaned(folder: Path) -> None:
    """Catches HTML unescaped once (&amp;lt; must become <) and white space that makes tokens."""
    assert clean_prompt("  Add\n\t snow &amp;lt;3 &amp; ice ") == "Add snow <3 & ice"
    text = encoder(folder)
    assert torch.equal(text([" Add  snow\n"]), text(["Add snow"]))


@pytest.mark.skipif(importlib.util.find_spec("ftfy") is None, reason="ftfy is not installed")
def test_ftfy_repairs_where_it_is_installed() -> None:
    """Catches a repair that is not asked for."""
    assert clean_prompt("the person’s cafÃ©") == "the person's café"


def test_the_network_is_read_on_first_use_and_freed(folder: Path) -> None:
    """Catches 11 GB read by a program that only lists models, or kept after ``free``."""
    text = encoder(folder)
    text.identity()
    assert not text.is_loaded
    before = text(["Add snow"])
    assert text.is_loaded
    text.free()
    assert not text.is_loaded
    assert torch.allclose(text(["Add snow"]), before, rtol=0, atol=ROUNDING)


def test_the_dtype_is_the_one_asked_for(folder: Path) -> None:
    """Catches float32 weights, twice the memory; bfloat16 keeps 8 bits, hence 5 %."""
    exact = encoder(folder)(["Add snow"])
    got = Umt5Encoder(folder, CPU, torch.bfloat16)(["Add snow"])
    assert got.dtype == torch.bfloat16
    assert float((got - exact).abs().max()) < 0.05 * float(exact.abs().max())


def test_shards_load(folder: Path, tmp_path: Path) -> None:
    """Catches a loader of one file only; the release comes in five."""
    sharded = write_encoder(tmp_path / "text", shards=True)
    shutil.copy(folder / "tokenizer.json", sharded)  # two trainings differ
    assert len(list(sharded.glob("*.safetensors"))) > 1
    got, expected = encoder(sharded)(PROMPTS), encoder(folder)(PROMPTS)
    assert torch.allclose(got, expected, rtol=0, atol=ROUNDING)


def test_identity_follows_the_weights_not_the_dates(folder: Path, tmp_path: Path) -> None:
    """Catches a copy taken for another encoder, and other weights of the same shapes for this."""
    known = encoder(folder).identity()
    copy = shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)
    assert encoder(copy).identity() == known
    weights = load_file(copy / "model.safetensors")
    weights = {name: 2 * tensor for name, tensor in weights.items()}
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    assert encoder(copy).identity() != known
    (copy / "model.safetensors").unlink()
    assert encoder(copy).identity() is None


def test_missing_files_are_named(tmp_path: Path) -> None:
    """Catches an error of transformers that speaks of a hub."""
    with pytest.raises(WeightsError, match=r"tokenizer\.json") as caught:
        encoder(tmp_path)(["Add snow"])
    assert "models pull" in str(caught.value)


def test_missing_or_misshapen_tensors_are_refused(folder: Path, tmp_path: Path) -> None:
    """Catches transformers' loading, which draws what is missing at random and warns."""
    copy = shutil.copytree(folder, tmp_path / "text")
    weights = load_file(copy / "model.safetensors")
    lost = "encoder.block.1.layer.0.SelfAttention.q.weight"
    for replaced in ({}, {lost: torch.zeros(8, 8)}):
        others = {name: tensor for name, tensor in weights.items() if name != lost}
        save_file({**others, **replaced}, copy / "model.safetensors", {"format": "pt"})
        with pytest.raises(WeightsError, match="1 tensors") as caught:
            encoder(copy)(["Add snow"])
        assert "SelfAttention.q" in str(caught.value)


def test_broken_files_are_refused(folder: Path, tmp_path: Path) -> None:
    """Catches a raw error of safetensors or tokenizers for a download that stopped."""
    copy = shutil.copytree(folder, tmp_path / "text")
    whole = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="transformers cannot read"):
        encoder(copy)(["Add snow"])
    (copy / "model.safetensors").write_bytes(whole)
    (copy / "tokenizer.json").write_text("{")
    with pytest.raises(WeightsError, match="no tokenizer"):
        encoder(copy)(["Add snow"])


def test_a_tokenizer_of_another_model_is_refused(folder: Path, tmp_path: Path) -> None:
    """Catches tokens that mean something else, or point past the table of the network."""
    copy = shutil.copytree(folder, tmp_path / "text")
    write_tokenizer(copy / "tokenizer.json", end="<unk>")
    with pytest.raises(WeightsError, match=r"ends a text with \[2\], expected .* \[1\]"):
        encoder(copy)(["Add snow"])
    write_tokenizer(copy / "tokenizer.json")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "vocab_size": 20}))
    weights = load_file(copy / "model.safetensors")
    weights["shared.weight"] = weights["shared.weight"][:20].clone()
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError, match="expected at most 20"):
        encoder(copy)(["Add snow"])


def test_rows_are_padded_with_zeros() -> None:
    """Catches rows of a longer prompt that stay behind a shorter one."""
    given = [PromptEmbedding(torch.ones(3, 2)), PromptEmbedding(2 * torch.ones(1, 2))]
    assert pad_rows(given, 4)[..., 0].tolist() == [[1, 1, 1, 0], [2, 0, 0, 0]]
