"""Several processes of one training run: joining, seeds of their own, gradients averaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import nn

RANK_STRIDE = 1_000_003
"""Between the seeds of two processes; more than the iterations of a run."""


def is_first_process() -> bool:
    """Whether this is the only process of a training run, or the one that writes its files."""
    return not dist.is_initialized() or dist.get_rank() == 0


@contextmanager
def joined_processes() -> Iterator[None]:
    """Beside the other processes where ``torchrun`` started several; else nothing.

    They are left at the end: threads of theirs that live on as Python ends abort it, now and then.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))  # "cuda" is this process's own card
    dist.init_process_group()
    try:
        yield
    finally:
        dist.destroy_process_group()


def own_seed(seed: int) -> int:
    """``seed`` in the first process of a run, and another in each further one.

    For data and noise: processes that draw the same pairs would do one process's work. Weights are
    drawn from ``seed`` itself, so that all begin alike.
    """
    return seed + (dist.get_rank() * RANK_STRIDE if dist.is_initialized() else 0)


def average_gradients(module: nn.Module) -> None:
    """Replace every gradient by its mean over the processes of the run; nothing for one alone."""
    if not dist.is_initialized():
        return
    for parameter in module.parameters():
        if not parameter.requires_grad:
            continue
        gradient = parameter.grad
        if gradient is None:  # a branch this process's batch did not use
            gradient = parameter.grad = torch.zeros_like(parameter)
        dist.all_reduce(gradient)
        gradient /= dist.get_world_size()
