"""What every stage shares: optimisers, EMA, checkpoints, progress, resuming. Knows no loss.

A stage hands over its modules and a function that returns the loss of one iteration. A run can be
interrupted at any moment and resumes from its last checkpoint to the same losses: a stage draws its
data and noise anew for each iteration (``Draws``), and torch's own random state is kept.
"""

from __future__ import annotations

import copy
import json
import math
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.training.muon import Muon
from liveedit_cam.lab.training.processes import average_gradients, is_first_process
from liveedit_cam.lab.training.sharding import load_whole_state, whole_state


@dataclass(frozen=True, slots=True)
class LoopConfig:
    """How long and how fast one stage trains."""

    iterations: int
    learning_rate: float = 2e-3
    warmup_iterations: int = 200
    decay_share: float = 0.35
    """Share of the iterations, at the end, over which the rate falls linearly to zero."""
    weight_decay: float = 0.01
    grad_clip: float = 1.0
    ema: float = 0.998
    checkpoint_every: int = 200
    log_every: int = 20
    muon: bool = True
    momentum: float = 0.95
    """Muon, of that momentum, for matrices inside blocks, AdamW for the rest; or AdamW alone."""
    text_rate: float = 1.0
    source_rate: float = 1.0
    """Learning rates of the text encoder and of the source encoder as shares of the others'."""


class Ema:
    """Running mean of a module's weights."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, iteration: int) -> None:
        """Move towards ``module``; faster in the first iterations."""
        decay = min(self.decay, (1 + iteration) / (10 + iteration))
        for mean, value in zip(self.module.parameters(), module.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)


class Draws:
    """Random numbers of a stage. Those of an iteration are the same however the run got there."""

    def __init__(self, seed: int) -> None:
        """Of iteration 0."""
        self.seed = seed
        self.rng = random.Random()
        self.noise = torch.Generator()
        self.begin(0)

    def begin(self, iteration: int) -> None:
        """Draw the numbers of ``iteration`` from now on."""
        self.rng.seed(f"{self.seed}/{iteration}")
        self.noise.manual_seed(self.rng.getrandbits(63))


def rate_factor(iteration: int, config: LoopConfig) -> float:
    """Learning rate at ``iteration`` as a share of its maximum: warm up, hold, fall."""
    warm = min(1.0, (iteration + 1) / max(1, config.warmup_iterations))
    decay_from = config.iterations * (1 - config.decay_share)
    left = (config.iterations - iteration) / max(1.0, config.iterations - decay_from)
    return warm * min(1.0, left)


def make_optimisers(module: nn.Module, config: LoopConfig) -> list[torch.optim.Optimizer]:
    """Muon for the weight matrices of repeated blocks, AdamW for everything else."""
    shares = {"text.": config.text_rate, "dit.source_encoder.": config.source_rate}
    matrices: list[nn.Parameter] = []
    others: dict[str, list[nn.Parameter]] = {"": []}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        part = next((part for part in shares if name.startswith(part)), "")
        is_matrix = not part and parameter.ndim == 2 and "blocks." in name and config.muon
        (matrices if is_matrix else others.setdefault(part, [])).append(parameter)
    groups = [{"params": found, "share": shares.get(part, 1.0)} for part, found in others.items()]
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(
            groups, lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=config.weight_decay
        )
    ]
    if matrices:
        optimisers.append(
            Muon(matrices, config.learning_rate, config.weight_decay, config.momentum)
        )
    return optimisers


class Trainee:
    """A module that learns: its optimisers and its running mean."""

    def __init__(
        self,
        module: nn.Module,
        config: LoopConfig,
        shard: Callable[[nn.Module], None] | None = None,
    ) -> None:
        """``shard`` spreads a module over the processes of the run; None = each has a whole one."""
        self.module = module
        self.config = config
        self.ema = Ema(module, config.ema)
        self.is_sharded = shard is not None
        if shard is not None:  # only now: shards cannot be copied
            shard(module)
            shard(self.ema.module)
        self.optimisers = make_optimisers(module, config)

    def update(self, loss: Tensor, iteration: int) -> float:
        """One step down ``loss``; returns its value. Raises UsageError where it is not finite.

        One without a graph left its gradients already. Several processes average theirs.
        """
        value = loss.item()
        if not math.isfinite(value):
            raise UsageError(
                f"got a loss of {value} at iteration {iteration}, expected a finite one",
                hint="Lower --learning-rate; the last checkpoint is kept.",
            )
        if loss.requires_grad:
            loss.backward()
        if not self.is_sharded:
            average_gradients(self.module)
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.config.grad_clip)
        factor = rate_factor(iteration, self.config)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = self.config.learning_rate * factor * group.get("share", 1.0)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.ema.update(self.module, iteration)
        return value

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it; all processes call it where it is sharded."""
        if self.is_sharded:
            module, optimisers = whole_state(self.module, self.optimisers)
            return {
                "module": module,
                "ema": whole_state(self.ema.module)[0],
                "optimisers": optimisers,
                "is_whole": True,
            }
        return {
            "module": self.module.state_dict(),
            "ema": self.ema.module.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Inverse of ``state``. Raises RuntimeError for one of another module."""
        if self.is_sharded:
            states = state["optimisers"]
            load_whole_state(self.module, state["module"], self.optimisers, states)
            load_whole_state(self.ema.module, state["ema"])
            return
        self.module.load_state_dict(state["module"])
        self.ema.module.load_state_dict(state["ema"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)


class Run:
    """One resumable training run in a folder: checkpoint.pt, log.jsonl, loss.png."""

    def __init__(
        self,
        folder: Path,
        module: nn.Module,
        config: LoopConfig,
        others: Mapping[str, nn.Module] | None = None,
        *,
        shard: Callable[[nn.Module], None] | None = None,
        about: Mapping[str, object] | None = None,
    ) -> None:
        """Resume when ``folder`` holds a checkpoint. Raises UsageError for one of another model.

        ``others`` learn beside ``module``, by ``others[name].update`` inside the loss; ``shard`` as
        Trainee's; ``about`` names settings with which alone a run may be resumed.
        """
        self.about = dict(about or {})
        self.folder = folder
        self.config = config
        self.main = Trainee(module, config, shard)
        self.others = {
            name: Trainee(other, config, shard) for name, other in (others or {}).items()
        }
        self.iteration = 0
        if is_first_process():
            folder.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.is_file():
            self._resume()

    @property
    def ema(self) -> Ema:
        """Running mean of the module."""
        return self.main.ema

    @property
    def checkpoint(self) -> Path:
        """Where the newest state is kept."""
        return self.folder / "checkpoint.pt"

    def train(self, loss_of: Callable[[int], tuple[Tensor, dict[str, float]]]) -> None:
        """Train to ``config.iterations``; Ctrl-C and SIGTERM save and end."""
        config = self.config
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        console = Console(stderr=True)
        columns = (TextColumn(self.folder.name), BarColumn(), MofNCompleteColumn(),
                   TimeRemainingColumn(), TextColumn("{task.fields[note]}"))  # fmt: skip
        with Progress(
            *columns, console=console, disable=not (console.is_terminal and is_first_process())
        ) as progress:
            task = progress.add_task("", total=config.iterations, completed=self.iteration, note="")
            mean: dict[str, float] = {}
            count = 0
            began = time.monotonic()
            try:
                while self.iteration < config.iterations:
                    values = self._step(loss_of)
                    for key, value in values.items():
                        mean[key] = mean.get(key, 0.0) + value
                    count += 1
                    if self.iteration % config.log_every == 0:
                        mean["s_per_iteration"] = time.monotonic() - began
                        self._log({key: value / count for key, value in mean.items()})
                        progress.update(task, note=f"loss {mean['loss'] / count:.4f}")
                        mean, count, began = {}, 0, time.monotonic()
                    if self.iteration % config.checkpoint_every == 0:
                        self.save()
                    progress.update(task, completed=self.iteration)
            except KeyboardInterrupt:
                console.print(f"interrupted at iteration {self.iteration}; saved, resumes there")
            self.save()

    def _step(self, loss_of: Callable[[int], tuple[Tensor, dict[str, float]]]) -> dict[str, float]:
        loss, values = loss_of(self.iteration)
        value = self.main.update(loss, self.iteration)
        self.iteration += 1
        return {"loss": value, **values}

    def _log(self, values: dict[str, float]) -> None:
        if not is_first_process():
            return
        line = {"iteration": self.iteration, **{k: round(v, 6) for k, v in values.items()}}
        with self._writing(), (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")

    def save(self) -> None:
        """Write the state beside the old one, then replace it: a full disk keeps the old one."""
        partial = self.checkpoint.with_suffix(".partial")
        if not is_first_process() and not self.main.is_sharded:
            return
        state = {
            **self.main.state(),
            "others": {name: other.state() for name, other in self.others.items()},
            "iteration": self.iteration,
            "random": torch.get_rng_state(),
            "config": asdict(self.config),
            "about": self.about,
        }
        if not is_first_process():
            return
        with self._writing():
            torch.save(state, partial)
            partial.replace(self.checkpoint)
            self._plot()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Say what a full disk leaves: whole is what bears the checkpoint's name."""
        try:
            yield
        except (OSError, RuntimeError) as error:  # torch's writer raises the latter
            self.checkpoint.with_suffix(".partial").unlink(missing_ok=True)
            raise UsageError(
                f"got {error} while iteration {self.iteration} was saved to {self.folder}; the "
                "newest whole checkpoint is kept",
                hint="Free some of the disk and run the same command: it goes on from there.",
            ) from error

    def _resume(self) -> None:
        state = torch.load(self.checkpoint, weights_only=True, map_location="cpu")
        if state["config"]["muon"] != self.config.muon:
            raise UsageError(
                f"got muon={self.config.muon}, but {self.checkpoint} was made with "
                f"muon={state['config']['muon']}",
                hint="Resume with the same optimiser, or give another --out folder.",
            )
        before = state.get("about", {})
        strange = [name for name in self.about if before.get(name) != self.about[name]]
        if strange:
            told = ", ".join(
                f"{name} = {before.get(name)!r}, not {self.about[name]!r}" for name in strange
            )
            raise UsageError(
                f"got {self.checkpoint}, which was made with {told}",
                hint="Resume with the same settings, or give another --out folder.",
            )
        try:
            self.main.load(state)
            for name, other in self.others.items():
                other.load(state["others"][name])
        except (RuntimeError, KeyError) as error:
            raise UsageError(
                f"got {self.checkpoint}, which is of another model ({error})",
                hint="Give another --out folder, or delete this one.",
            ) from error
        self.iteration = state["iteration"]
        torch.set_rng_state(state["random"])

    def _plot(self) -> None:
        """Draw loss.png from the log."""
        log = self.folder / "log.jsonl"
        if not log.is_file():
            return
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
        figure = Figure(figsize=(7, 3.5))
        axes = figure.add_subplot(xlabel="iteration", ylabel="loss", yscale="log")
        axes.plot([line["iteration"] for line in lines], [line["loss"] for line in lines], lw=0.8)
        figure.savefig(self.folder / "loss.png", dpi=110, bbox_inches="tight")
