"""Batches: in line and made ahead, the same ones; what fails on the thread is raised."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from liveedit_cam.lab.training.batches import LatentBatch, prefetch


def batch(number: int) -> LatentBatch:
    latents = torch.full((1, 2, 1, 1, 1), float(number))
    flags = torch.tensor([True])
    return LatentBatch(latents, latents, latents[:, 0], flags, (f"prompt {number}",))


def test_batches_made_ahead_are_those_made_in_line() -> None:
    """Catches a thread that drops, repeats or reorders batches, or never ends."""
    numbers = [one.prompts[0] for one in prefetch(batch(n) for n in range(7))]
    assert numbers == [f"prompt {n}" for n in range(7)]


def test_an_error_on_the_thread_is_raised_where_batches_are_taken() -> None:
    """Catches a training that waits for ever because a clip could not be read."""

    def failing() -> Iterator[LatentBatch]:
        yield batch(0)
        raise RuntimeError("clip 3 is broken")

    made = prefetch(failing())
    assert next(made).prompts == ("prompt 0",)
    with pytest.raises(RuntimeError, match="clip 3"):
        next(made)
