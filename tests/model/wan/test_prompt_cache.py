"""The cache of embeddings: what was met before needs no encoder; bounded, whole or not at all."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from fake_clock import Clock

from liveedit_cam.errors import WeightsError
from liveedit_cam.model.stream_codec import PromptEncoder
from liveedit_cam.model.wan.prompt_cache import CachedPrompts, read_presets
from liveedit_cam.model.wan.umt5 import PromptEmbedding

MAX_TOKENS = 8
WIDTH = 6


class LetterEncoder:
    """A RowEncoder by hand: one row per word, drawn from its letters; remembers what it did."""

    max_tokens = MAX_TOKENS

    def __init__(self, name: str | None = "letters", dtype: torch.dtype = torch.bfloat16) -> None:
        self.name = name
        self.dtype = dtype
        self.asked: list[str] = []
        self.num_freed = 0

    def identity(self) -> str | None:
        return self.name

    def embed(self, prompts: Sequence[str]) -> list[PromptEmbedding]:
        self.asked += prompts
        return [self.embedding(prompt) for prompt in prompts]

    def embedding(self, prompt: str) -> PromptEmbedding:
        words = [*prompt.split(), "."]
        seeds = [sum(map(ord, word)) for word in words[:MAX_TOKENS]]
        rows = [torch.randn(WIDTH, generator=torch.Generator().manual_seed(s)) for s in seeds]
        return PromptEmbedding(torch.stack(rows).to(self.dtype), max(0, len(words) - MAX_TOKENS))

    def free(self) -> None:
        self.num_freed += 1


def cached(folder: Path, encoder: LetterEncoder | None = None, **bounds: int) -> CachedPrompts:
    return CachedPrompts(encoder or LetterEncoder(), folder, clock=Clock(step_s=1.0).now, **bounds)


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def test_a_prompt_is_encoded_once(tmp_path: Path) -> None:
    """Catches an entry that is not found again, or is not what the encoder said."""
    encoder = LetterEncoder()
    first = cached(tmp_path / "prompts", encoder)(["make it blue", "snow"])
    assert first.shape == (2, MAX_TOKENS, WIDTH)
    assert float(first[0, 4:].abs().max()) == float(first[1, 2:].abs().max()) == 0.0
    later = LetterEncoder()  # another process
    prompts = cached(tmp_path / "prompts", later)
    assert torch.equal(prompts(["snow", "make it blue"]), first.flip(0))
    assert (encoder.asked, later.asked) == (["make it blue", "snow"], [])
    assert isinstance(prompts, PromptEncoder)


def test_only_the_rows_of_the_prompt_are_stored(tmp_path: Path) -> None:
    """Catches 512 rows on disk for 4, and a dtype that changes on the way."""
    prompts = cached(tmp_path)
    (made,) = prompts.embed(["make it blue"])
    (read,) = prompts.embed(["make it blue"])
    assert read.rows.shape == (4, WIDTH)
    assert read.rows.dtype == torch.bfloat16
    assert torch.equal(read.rows, made.rows)
    assert entries(tmp_path)[0].stat().st_size < 1000


def test_a_cut_is_told_again(tmp_path: Path) -> None:
    """Catches a notice that only the first use of a prompt shows."""
    prompts = cached(tmp_path)
    long = "make it blue and white and black and red"
    notices = [prompts.embed([long])[0].notice for _ in range(2)]
    assert notices[0] == notices[1]
    assert notices[1] is not None
    assert "2 tokens longer than the 8" in notices[1]


def test_white_space_does_not_make_another_prompt(tmp_path: Path) -> None:
    """Catches a key of the prompt as typed instead of as cleaned."""
    encoder = LetterEncoder()
    prompts = cached(tmp_path, encoder)
    prompts(["add snow", " add   snow\n", "Add snow"])
    assert encoder.asked == ["add snow", "Add snow"]


def test_another_encoder_has_its_own_entries(tmp_path: Path) -> None:
    """Catches embeddings of other weights used after the model was renewed."""
    cached(tmp_path)(["snow"])
    other = LetterEncoder("other letters")
    cached(tmp_path, other)(["snow"])
    assert other.asked == ["snow"]
    assert len(entries(tmp_path)) == 2


def test_a_machine_without_the_encoder_knows_what_was_encoded(tmp_path: Path) -> None:
    """Catches presets that only work beside 11 GB of weights: folder copied, encoder gone."""
    expected = cached(tmp_path / "here")(["snow"])
    there = shutil.copytree(tmp_path / "here", tmp_path / "there", copy_function=shutil.copyfile)
    absent = LetterEncoder(None)
    prompts = cached(there, absent)
    assert torch.equal(prompts(["snow"]), expected)
    with pytest.raises(WeightsError, match="text encoder is not on this machine") as caught:
        prompts(["rain"])
    assert "'rain'" in str(caught.value)
    assert "models pull" in str(caught.value)
    with pytest.raises(WeightsError, match="not on this machine"):
        cached(tmp_path / "empty", absent)(["snow"])
    assert absent.asked == []


def damage(path: Path, how: str) -> None:
    whole = path.read_bytes()
    if how == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "last bit":
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    else:
        path.write_bytes(whole.replace(b"snow", b"rain"))


@pytest.mark.parametrize("how", ["cut", "empty", "last bit", "another prompt"])
def test_a_damaged_entry_is_made_anew(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Catches a crash, or wrong numbers in the picture, after a full disk or a flipped bit."""
    expected = cached(tmp_path)(["snow"])
    damage(entries(tmp_path)[0], how)
    encoder = LetterEncoder()
    prompts = cached(tmp_path, encoder)
    with caplog.at_level(logging.WARNING):
        assert torch.equal(prompts(["snow"]), expected)
    assert encoder.asked == ["snow"]
    assert "dropped the cached embedding" in caplog.text
    assert torch.equal(prompts(["snow"]), expected)
    assert encoder.asked == ["snow"], "the new entry is whole"


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    """Catches a folder that grows for ever, and one that forgets what is used daily."""
    encoder = LetterEncoder()
    prompts = cached(tmp_path, encoder, max_entries=3)
    for prompt in ("a", "b", "c", "a", "d"):
        prompts([prompt])
    assert encoder.asked == ["a", "b", "c", "d"]
    assert len(entries(tmp_path)) == 3
    prompts(["a", "c", "d"])
    assert encoder.asked == ["a", "b", "c", "d"]
    prompts(["b"])
    assert encoder.asked[-1] == "b"


def test_the_bytes_are_bounded_too(tmp_path: Path) -> None:
    """Catches a bound by number only, and files that a dead process left half-written."""
    cached(tmp_path)(["a b c"])
    size = entries(tmp_path)[0].stat().st_size
    left = tmp_path / "left.part"
    left.write_bytes(bytes(size))
    os.utime(left, (1, 1))
    prompts = cached(tmp_path, max_bytes=2 * size)
    for prompt in ("a b d", "a b e", "a b f"):
        prompts([prompt])
    assert not left.exists()
    assert len(entries(tmp_path)) == 2


def test_a_folder_that_cannot_be_made_costs_the_cache_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Catches an edit that fails because a disk is full or a folder is not ours."""
    (tmp_path / "file").write_text("in the way")
    encoder = LetterEncoder()
    prompts = cached(tmp_path / "file" / "prompts", encoder)
    with caplog.at_level(logging.WARNING):
        assert prompts(["snow"]).shape == (1, MAX_TOKENS, WIDTH)
    assert encoder.asked == ["snow"]
    assert "cannot be written" in caplog.text


def test_presets_are_encoded_ahead(tmp_path: Path) -> None:
    """Catches a preset encoded twice, and a step without its prompt."""
    encoder = LetterEncoder()
    prompts = cached(tmp_path, encoder)
    prompts(["snow"])
    long = "one two three four five six seven eight"
    steps = list(prompts.encode_presets(["rain", "snow", long]))
    assert [(step.prompt, step.was_cached) for step in steps] == [
        ("rain", False),
        ("snow", True),
        (long, False),
    ]
    assert [step.notice is None for step in steps] == [True, True, False]
    assert encoder.asked == ["snow", "rain", long]
    prompts.free()
    assert encoder.num_freed == 1


def test_the_presets_are_sixty_instructions() -> None:
    """Catches a preset twice, a comment taken for one, and a file that is not shipped."""
    presets = read_presets()
    assert len(presets) == len({preset.lower() for preset in presets}) == 60
    assert all(preset[0].isupper() and preset.endswith(".") for preset in presets)
    assert max(map(len, presets)) < 80
