"""Networks in shards over the processes of a run (FSDP2), and their whole state for checkpoints.

A sharded editor gathers its weights where its ``forward`` and those of its blocks are called, so
every use of one goes through ``through``. State is gathered whole: a checkpoint of eight processes
resumes on two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from liveedit_cam.lab.training.editor import Editor

R = TypeVar("R")
_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)
_FROM_FIRST = StateDictOptions(full_state_dict=True, broadcast_from_rank0=False)


class ShardedEditor(Editor):
    """An Editor whose work runs inside its ``forward``, where FSDP2 gathers what it needs."""

    def forward(self, work: Callable[[Editor], R]) -> R:
        """Run ``work`` over this editor."""
        return work(self)


def through(editor: Editor, work: Callable[[Editor], R]) -> R:
    """``work(editor)``, by way of ``forward`` where the editor is sharded."""
    if isinstance(editor, ShardedEditor):
        result: R = editor(work)
        return result
    return work(editor)


def shard(editor: nn.Module, *, bfloat16: bool = False) -> None:
    """Spread ``editor``'s parameters over all processes, in place, block by block.

    Master weights stay float32; ``bfloat16`` gathers and computes in bfloat16 and reduces gradients
    in float32. Text keys and values are made outside a block's ``forward``: their layers are units
    of their own.
    """
    assert isinstance(editor, ShardedEditor), "only an editor with a forward can be sharded"
    mesh = init_device_mesh(next(editor.parameters()).device.type, (dist.get_world_size(),))
    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if bfloat16 else None,
        reduce_dtype=torch.float32,
        cast_forward_inputs=False,
    )
    for block in editor.dit.blocks:
        attention = block.get_submodule("cross_attn")
        text = [attention.get_submodule(name) for name in ("k", "norm_k", "v")]
        fully_shard(text, mesh=mesh, mp_policy=policy)
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(editor, mesh=mesh, mp_policy=policy)


def is_sharded(module: nn.Module) -> bool:
    """Whether its parameters lie in shards."""
    return any(isinstance(parameter, DTensor) for parameter in module.parameters())


def whole_state(
    module: nn.Module, optimisers: Iterable[torch.optim.Optimizer] = ()
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """State of a sharded module and its optimisers, gathered on the processor of every process.

    A collective: all processes call it.
    """
    for unit in module.modules():
        if isinstance(unit, FSDPModule):
            unit.reshard()  # a root stays gathered after a pass without a backward, as scores
    states = [get_optimizer_state_dict(module, one, options=_WHOLE) for one in optimisers]
    return get_model_state_dict(module, options=_WHOLE), states


def load_whole_state(
    module: nn.Module,
    state: Mapping[str, Any],
    optimisers: Iterable[torch.optim.Optimizer] = (),
    states: Iterable[Mapping[str, Any]] = (),
) -> None:
    """Inverse of ``whole_state``, on any number of processes; each has read the state itself."""
    set_model_state_dict(module, dict(state), options=_FROM_FIRST)
    for one, saved in zip(optimisers, states, strict=True):
        set_optimizer_state_dict(module, one, dict(saved), options=_FROM_FIRST)
