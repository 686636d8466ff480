"""A batch in parts, each made and worked on by one thread. Knows no loss.

A thread per core and no barrier inside an iteration: where another program holds one core, the
other goes on. A part has its own draws, so a run is the same however threads take turns.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import fmean
from typing import TypeVar

import torch
from torch import Tensor, nn

from liveedit_cam.lab.training.loop import Run

M = TypeVar("M", bound=nn.Module)
Losses = tuple[Tensor, dict[str, float]]
"""A loss and figures for the log."""


def train_in_parts(
    run: Run, num_threads: int, num_parts: int, loss_of: Callable[[int, int], Losses]
) -> None:
    """Train by the mean loss of so many parts; ``loss_of`` gets part and iteration."""

    def work(part: int, iteration: int) -> tuple[float, dict[str, float]]:
        loss, values = loss_of(part, iteration)
        (loss / num_parts).backward()
        return loss.item(), values

    with ThreadPoolExecutor(num_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:

        def mean_of(iteration: int) -> Losses:
            done = list(pool.map(work, range(num_parts), [iteration] * num_parts))
            return torch.tensor(fmean(loss for loss, _ in done)), mean_values([v for _, v in done])

        run.train(mean_of)


def mean_values(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each figure over the parts that have it: one without pictures tells no parts."""
    keys = dict.fromkeys(key for values in parts for key in values)
    return {key: fmean(values[key] for values in parts if key in values) for key in keys}


def twin(module: M) -> M:
    """A module of its own over the very same parameters, for another thread."""
    return copy.deepcopy(module, {id(p): p for p in module.parameters()})
