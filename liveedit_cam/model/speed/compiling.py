"""Functions by torch.compile, and what they do where a compiler fails. Knows no network."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")

MOST_SHAPES = 64
"""Of tensors that one part meets: some ten of a picture's size, again latent by latent, and more
where a smaller picture is tried."""

Compiler = Callable[[Callable[..., Any]], Callable[..., Any]]
"""``torch.compile``, or what stands for it in a test."""

_log = logging.getLogger(__name__)


def compiled(function: Callable[..., Any], backend: str = "inductor") -> Callable[..., Any]:
    """``function`` by torch.compile, anew for each shape: few are met, and all while warming up.

    Its limit of shapes is raised for the process: past it, dynamo refuses.
    """
    limits = torch._dynamo.config
    limits.recompile_limit = max(limits.recompile_limit, MOST_SHAPES)
    return torch.compile(function, fullgraph=True, dynamic=False, backend=backend)


def guarded(function: Callable[P, R], compiler: Compiler) -> Callable[P, R]:
    """``function`` through ``compiler``; itself, with a line in the log, from the first error on.

    Want of memory is raised: that is no fault of a compiler.
    """
    fast: Callable[P, R] | None = compiler(function)

    def run(*arguments: P.args, **named: P.kwargs) -> R:
        nonlocal fast
        try:
            if fast is not None:
                return fast(*arguments, **named)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # what dynamo and inductor raise
            reason = str(error).partition("\n")[0]
            _log.warning("%s runs as it is: %s", function.__name__, reason)
            fast = None
        return function(*arguments, **named)

    return run
