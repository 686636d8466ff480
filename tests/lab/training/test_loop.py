"""The training loop: resuming, losses that are no number, checkpoints, the learning rate."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.training.loop import Ema, LoopConfig, Run, make_optimisers, rate_factor
from liveedit_cam.lab.training.muon import Muon
from liveedit_cam.lab.training.settings import StageSettings

CONFIG = LoopConfig(
    iterations=12,
    learning_rate=0.05,
    warmup_iterations=3,
    checkpoint_every=100,
    log_every=100,
    ema=0.9,
)


class Toy(nn.Module):
    """A regression with a matrix in a block (Muon) and one outside (AdamW)."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.ModuleList([nn.Linear(4, width)])
        self.out = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.blocks[0](x).tanh())


def loss_of(
    module: Toy, losses: list[float], stop_at: int | None = None
) -> Callable[[int], object]:
    """Losses of random batches, noted in ``losses``; Ctrl-C at iteration ``stop_at``."""

    def loss(iteration: int) -> tuple[Tensor, dict[str, float]]:
        if iteration == stop_at:
            raise KeyboardInterrupt
        x = torch.randn(8, 4)
        value = (module(x) - x.sum(1, keepdim=True).sin()).square().mean()
        losses.append(value.item())
        return value, {"half": value.item() / 2}

    return loss


def trained(folder: Path, config: LoopConfig = CONFIG, stop_at: int | None = None) -> list[float]:
    """Losses of one call of a run in ``folder``, new or resumed."""
    module, losses = Toy(), []
    torch.manual_seed(1)
    Run(folder, module, config).train(loss_of(module, losses, stop_at))
    return losses


@pytest.mark.slow
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    """Catches lost optimiser state, random state, or a learning rate that starts to warm up again.

    The same operations on the same numbers: exactly equal.
    """
    whole = trained(tmp_path / "whole")
    parts = trained(tmp_path / "parts", stop_at=5)
    assert len(parts) == 5
    parts += trained(tmp_path / "parts", stop_at=9)
    parts += trained(tmp_path / "parts")
    assert parts == whole
    assert len(whole) == CONFIG.iterations
    ends = [
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)
        for name in ("whole", "parts")
    ]
    for kind in ("module", "ema"):
        for name, tensor in ends[0][kind].items():
            assert torch.equal(tensor, ends[1][kind][name]), name


def test_a_finished_run_does_no_more(tmp_path: Path) -> None:
    """Catches one extra iteration at every start."""
    trained(tmp_path)
    assert trained(tmp_path) == []
    assert len(trained(tmp_path, replace(CONFIG, iterations=14))) == 2


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_keeps_the_last_checkpoint(tmp_path: Path, bad: float) -> None:
    """Catches a checkpoint overwritten with NaN: iteration 4 was saved, 5 fails."""
    module = Toy()
    run = Run(tmp_path, module, replace(CONFIG, checkpoint_every=2))
    losses: list[float] = []
    good = loss_of(module, losses)

    def loss(iteration: int) -> tuple[Tensor, dict[str, float]]:
        value, more = good(iteration)
        return (value * bad if iteration == 5 else value), more

    with pytest.raises(UsageError) as caught:
        run.train(loss)
    assert f"got a loss of {bad} at iteration 5, expected a finite one" in str(caught.value)
    assert "Lower --learning-rate" in str(caught.value)
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert kept["iteration"] == 4
    assert all(bool(t.isfinite().all()) for t in kept["module"].values())
    assert Run(tmp_path, Toy(), CONFIG).iteration == 4


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    """Catches a run that resumes with half of its weights random."""
    trained(tmp_path)
    with pytest.raises(UsageError) as caught:
        Run(tmp_path, Toy(width=7), CONFIG)
    assert f"got {tmp_path / 'checkpoint.pt'}, which is of another model" in str(caught.value)
    assert "size mismatch" in str(caught.value)
    assert "Give another --out folder" in str(caught.value)


def test_a_half_written_checkpoint_is_not_read(tmp_path: Path) -> None:
    """Catches saving in place: what a killed process left beside the checkpoint does no harm."""
    first = trained(tmp_path, stop_at=3)
    (tmp_path / "checkpoint.partial").write_bytes(b"half")
    assert first + trained(tmp_path) == trained(tmp_path / "whole")
    assert not (tmp_path / "checkpoint.partial").exists()


def test_a_full_disk_keeps_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a traceback, a half file that keeps the disk full, and a log that blocks resuming."""
    trained(tmp_path, stop_at=3)

    def full(state: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("PytorchStreamWriter failed writing file")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(UsageError, match=r"while iteration \d+ was saved") as caught:
            trained(tmp_path)
    assert "Free some of the disk" in str(caught.value)
    assert not (tmp_path / "checkpoint.partial").exists()
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"iteration": 12, "lo')
    assert len(trained(tmp_path)) == CONFIG.iterations - 3


def test_the_log_holds_means(tmp_path: Path) -> None:
    """Catches a log of last values: the loss of a line is the mean over its iterations."""
    losses = trained(tmp_path, replace(CONFIG, log_every=4))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [4, 8, 12]
    for number, line in enumerate(lines):
        mean = sum(losses[4 * number : 4 * number + 4]) / 4
        assert line["loss"] == pytest.approx(mean, abs=1e-5)
        assert line["half"] == pytest.approx(mean / 2, abs=1e-5)
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_learning_rate_warms_up_holds_and_falls() -> None:
    """Catches a rate of 0 in the first iteration, and one that does not reach its end near 0."""
    config = LoopConfig(iterations=100, warmup_iterations=10, decay_share=0.4)
    factors = [rate_factor(i, config) for i in range(100)]
    assert factors[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert factors[9:61] == pytest.approx([1.0] * 52)
    assert factors[80] == pytest.approx(0.5)
    assert factors[99] == pytest.approx(0.025)
    assert min(factors) > 0


def test_muon_gets_the_matrices_of_blocks_alone() -> None:
    """Catches biases or the output layer under Muon, and a parameter in no optimiser."""
    toy = Toy()
    adam, muon = make_optimisers(toy, CONFIG)
    assert isinstance(muon, Muon)
    assert [p is toy.blocks[0].weight for p in muon.param_groups[0]["params"]] == [True]
    assert len(adam.param_groups[0]["params"]) == 3
    (only,) = make_optimisers(toy, replace(CONFIG, muon=False))
    assert len(only.param_groups[0]["params"]) == 4


def test_mean_weights_follow() -> None:
    """Catches a mean that is stuck at random weights, or shares memory with the model.

    The first iteration takes nine tenths of the new weights: decay is 1 / 10 there.
    """
    toy = Toy()
    ema = Ema(toy, decay=0.9)
    start = toy.out.bias.detach().clone()
    with torch.no_grad():
        toy.out.bias += 1
    assert torch.equal(ema.module.out.bias, start)
    ema.update(toy, iteration=0)
    assert torch.allclose(ema.module.out.bias, start + 0.9)
    ema.update(toy, iteration=10_000)
    assert torch.allclose(ema.module.out.bias, start + 0.91)
    assert not ema.module.out.bias.requires_grad


def test_a_training_in_16_bit_sees_its_own_updates() -> None:
    """Catches autocast's cache: every forward pass of a run would use the weights it began with."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(4, 1)
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.1)
    inputs, losses = torch.ones(1, 4), []
    with StageSettings(bfloat16=True).precision(torch.device("cpu")):
        for _ in range(3):
            output = layer(inputs)
            loss = (output.float() - 5).square().mean()
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            losses.append(loss.item())
    assert output.dtype == torch.bfloat16
    assert losses[2] < 0.2 * losses[0]
