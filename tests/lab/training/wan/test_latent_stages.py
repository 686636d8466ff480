"""The stages of a model of the flow: every timestep counts, starts, resuming, LoRA, shards."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from latent_sets import FLOW, settings, widest, write_latents
from safetensors.torch import load_file, save_file
from tiny_model import draw_latents, tiny_dit, tiny_text_kv
from torch import Tensor

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.training.blocks import BlockAttend, teacher_forcing_blocks
from liveedit_cam.lab.training.editor import Editor
from liveedit_cam.lab.training.losses import bell_weight
from liveedit_cam.lab.training.rollout import rollout
from liveedit_cam.lab.training.sharding import ShardedEditor, through
from liveedit_cam.lab.training.teacher_forcing import TeacherForcing
from liveedit_cam.lab.training.wan.latents import LatentShards
from liveedit_cam.lab.training.wan.train import export_wan, load_start, train_latents
from liveedit_cam.model.attention import MaskedAttend, rotation_table, teacher_forcing_mask
from liveedit_cam.model.dit import CausalDiT
from liveedit_cam.model.schedule import FlowSchedule
from liveedit_cam.model.wan.lora import merge_lora, read_lora


@pytest.fixture(scope="module")
def latents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pairs, encoded; nobody changes them."""
    return write_latents(tmp_path_factory.mktemp("set"))


def test_every_timestep_has_a_weight() -> None:
    """Catches the bell that ends at zero: half of the samples were at t = 1000, worth nothing."""
    schedule = FlowSchedule(FLOW.timesteps, FLOW.shift)
    drawn = 1000 * schedule.table.float()
    assert float(bell_weight(drawn).min()) > 0.05
    assert float(bell_weight(torch.tensor([1000.0]))) > 0.05
    plain = torch.arange(1, 1001, dtype=torch.float32)
    assert float(bell_weight(plain).mean()) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("timestep", [1000, 999, 750, 500, 250, 5])
def test_stage_2_learns_at_every_timestep(latents: Path, timestep: int) -> None:
    """Catches a timestep whose samples give no gradient. All chunks at the same one."""
    shards = LatentShards(latents, FLOW.text.max_tokens)
    stage = TeacherForcing(FLOW, shards.text, torch.ones(16), 0)  # type: ignore[arg-type]
    stage.schedule.sample_sigmas = lambda count, generator: torch.full(  # type: ignore[method-assign]
        (count,), stage.schedule.sigma(timestep)
    )
    editor = Editor(FLOW)
    editor.dit.load_state_dict(tiny_dit(FLOW).state_dict())
    loss, _ = stage(editor, shards.batch([0]))
    loss.backward()
    norm = editor.dit.head.head.weight.grad
    assert norm is not None
    assert float(norm.norm()) > 1e-3


def test_a_model_of_the_flow_is_trained_as_the_paper_says(latents: Path) -> None:
    """Catches nano's own draws: its sampler's four sigmas, its own estimates, a disturbed past."""
    shards = LatentShards(latents, FLOW.text.max_tokens)
    stage = TeacherForcing(FLOW, shards.text, torch.ones(16), 0)  # type: ignore[arg-type]
    assert stage.rollout_share == 0.0
    drawn = torch.cat([stage._draw_sigmas((8, 2)).flatten() for _ in range(50)])
    assert len(drawn.unique()) > 400
    batch = shards.batch([0])
    grid = (2, 3)
    inputs = stage._inputs(tiny_dit(FLOW), batch, grid, shards.text(batch.prompts))
    assert inputs.past is batch.target


@pytest.mark.filterwarnings("ignore:flex_attention called without")  # it is, on the processor
@pytest.mark.parametrize("window", [None, 2])
def test_blocks_of_the_mask_are_the_mask(window: int | None) -> None:
    """Catches a rule that differs from the dense mask: clean past, own noisy chunk, window."""
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, 30, 2, 16) for _ in range(3))
    rotation = rotation_table([*range(3), *range(3)], (1, 5), 16)
    dense = MaskedAttend(rotation, teacher_forcing_mask(3, 5, window))
    blocks = BlockAttend(rotation, teacher_forcing_blocks(3, 5, window, torch.device("cpu")))
    one, other = (attend(0, q, k, v, None) for attend in (dense, blocks))
    assert torch.allclose(one, other, atol=1e-5)


def gradients(dit: CausalDiT) -> dict[str, Tensor]:
    dit.requires_grad_(True)
    noisy, source = draw_latents(FLOW, 3, 1), draw_latents(FLOW, 3, 2)
    attend_all = MaskedAttend(rotation_table(range(3), (2, 3), FLOW.head_dim), None)
    out = dit(noisy, source, torch.full((1, 3), 500.0), tiny_text_kv(dit), attend_all)
    out.square().mean().backward()
    return {name: p.grad for name, p in dit.named_parameters() if p.grad is not None}


def test_recomputed_activations_give_the_same_gradients() -> None:
    """Catches blocks run with other inputs the second time."""
    plain, frugal = tiny_dit(FLOW), tiny_dit(FLOW)
    frugal.recomputes = True
    assert widest(gradients(plain), gradients(frugal)) < 1e-6


def rolled_out(dit: CausalDiT) -> dict[str, Tensor]:
    dit.requires_grad_(True)
    source = draw_latents(FLOW, 9, 2)
    schedule, noise = FlowSchedule(FLOW.timesteps, FLOW.shift), torch.Generator().manual_seed(0)
    rollout(dit, source, tiny_text_kv(dit), schedule, 1, noise).square().mean().backward()
    return {name: p.grad for name, p in dit.named_parameters() if p.grad is not None}


def test_recomputed_rollouts_see_the_history_they_saw() -> None:
    """Catches blocks run again in the backward pass over a cache that has gone on."""
    plain, frugal = tiny_dit(FLOW), tiny_dit(FLOW)
    frugal.recomputes = True
    assert widest(rolled_out(plain), rolled_out(frugal)) < 1e-6


def test_stage_1_starts_at_a_text_to_video_model(tmp_path: Path) -> None:
    """Catches a source half that is not zero: at its start the editor ignores the source."""
    whole = tiny_dit(FLOW).state_dict()
    t2v = {name: tensor.clone() for name, tensor in whole.items()}
    t2v["patch_embedding.weight"] = whole["patch_embedding.weight"][:, :16].contiguous()
    save_file(t2v, tmp_path / "t2v.safetensors")
    editor = Editor(FLOW)
    load_start(editor, tmp_path / "t2v.safetensors")
    weight = editor.dit.patch_embedding.weight
    assert weight.shape[1] == 32
    assert torch.equal(weight[:, :16], t2v["patch_embedding.weight"])
    assert not bool(weight[:, 16:].any())


def weights_of(folder: Path, stage: str = "editor") -> dict[str, Tensor]:
    state = torch.load(folder / "runs" / stage / "checkpoint.pt", weights_only=True)
    found: dict[str, Tensor] = state["module"]
    return found


@pytest.mark.slow
def test_the_stages_follow_each_other_and_resume(tmp_path: Path, latents: Path) -> None:
    """Catches a stage that starts at random weights, and a run that goes on at other samples."""
    for stage in ("foundation", "teacher-forcing", "dmd"):
        train_latents(settings(tmp_path, latents), stage)
    parts = tmp_path / "parts"
    parts.mkdir()
    for iterations in (2, 3):  # the schedule of the rate is that of three
        train_latents(
            settings(parts, latents, iterations=iterations, decay_share=0.001), "foundation"
        )
    whole = tmp_path / "whole"
    whole.mkdir()
    train_latents(settings(whole, latents, decay_share=0.001), "foundation")
    assert widest(weights_of(parts, "foundation"), weights_of(whole, "foundation")) < 1e-3
    with pytest.raises(UsageError, match="which was made with batch = 2, not 4"):
        train_latents(settings(whole, latents, batch=4), "foundation")
    base = tmp_path / "base"
    (base / "vae").mkdir(parents=True)
    export_wan(FLOW, tmp_path / "runs/dmd/checkpoint.pt", base, tmp_path / "model")
    exported = load_file(tmp_path / "model/model.safetensors")
    assert exported.keys() == tiny_dit(FLOW).state_dict().keys()


@pytest.mark.slow
def test_a_lora_is_trained_and_used(tmp_path: Path, latents: Path) -> None:
    """Catches frozen weights that move, and a LoRA file that another load refuses."""
    start = tmp_path / "start.safetensors"
    save_file(tiny_dit(FLOW).state_dict(), start)
    changes = {"lora_rank": 4, "start": start, "learning_rate": 1e-2, "ema": 0.0}
    run = train_latents(settings(tmp_path, latents, **changes), "teacher-forcing")
    trained = run.ema.module
    assert isinstance(trained, Editor)
    for name, tensor in tiny_dit(FLOW).state_dict().items():
        layer, _, kind = name.rpartition(".")
        found = trained.dit.state_dict()
        assert torch.equal(found.get(name, found.get(f"{layer}.base.{kind}")), tensor), name
    merged = tiny_dit(FLOW)
    merge_lora(merged, read_lora(run.folder / "lora.safetensors", merged), 1.0)
    with torch.no_grad():
        attend_all = MaskedAttend(rotation_table(range(3), (2, 3), FLOW.head_dim), None)
        given = draw_latents(FLOW, 3, 1), draw_latents(FLOW, 3, 2), torch.full((1, 3), 500.0)
        text = torch.randn(1, 5, FLOW.text.width, generator=torch.Generator().manual_seed(1))
        one, other, none = (
            dit(*given, dit.text_kv(text), attend_all)
            for dit in (merged, trained.dit, tiny_dit(FLOW))
        )
    assert float((one - other).abs().max()) < 1e-5
    assert float((one - none).abs().max()) > 1e-4


def launch(folder: Path, latents: Path, stage: str, processes: int, **changes: object) -> None:
    """Run the command in ``processes`` processes, as a lab would."""
    given = settings(folder, latents, shards=processes > 1, **changes)
    lines = []
    for name, value in given.model_dump(exclude_none=True).items():
        shown = str(value).lower() if isinstance(value, bool) else json.dumps(value, default=str)
        lines.append(f"{name} = {shown}")
    (folder / "stage.toml").write_text("\n".join(lines))
    launcher = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}"]
    command = [sys.executable, *(launcher if processes > 1 else []), "-m", "liveedit_cam"]
    done = subprocess.run(
        [*command, "train", stage, "--config", str(folder / "stage.toml")],
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_two_processes_in_shards_equal_one(tmp_path: Path, latents: Path) -> None:
    """Catches gradients summed instead of averaged, samples drawn twice, shards put together wrong.

    The bar is 1e-5 after three steps; rounding was 1e-7. Then one process goes on with what two
    left, as a lab that loses a card.
    """
    (tmp_path / "two").mkdir()
    launch(tmp_path / "two", latents, "teacher-forcing", 2, batch=4)
    train_latents(settings(tmp_path, latents, batch=4), "teacher-forcing")
    one, two = (weights_of(folder) for folder in (tmp_path, tmp_path / "two"))
    assert widest(one, two) < 1e-5
    run = train_latents(
        settings(tmp_path / "two", latents, batch=4, iterations=4), "teacher-forcing"
    )
    assert run.iteration == 4


@pytest.mark.slow
def test_stage_3_runs_in_shards(tmp_path: Path, latents: Path) -> None:
    """Catches three networks of which one is not sharded, and processes that wait for others."""
    start = tmp_path / "start.safetensors"
    save_file(tiny_dit(FLOW).state_dict(), start)
    launch(tmp_path, latents, "dmd", 2, start=start, teacher=start, iterations=2, recomputes=True)
    state = torch.load(tmp_path / "runs/dmd/checkpoint.pt", weights_only=True)
    assert state["iteration"] == 2
    assert all(bool(x.isfinite().all()) for x in state["module"].values())


def test_shards_need_several_processes(tmp_path: Path, latents: Path) -> None:
    """Catches a run that says it is sharded and is not."""
    with pytest.raises(UsageError, match="shards = true with 1 processes"):
        train_latents(settings(tmp_path, latents, shards=True), "foundation")


def test_work_goes_through_a_sharded_editors_forward() -> None:
    """Catches work that sees weights before they are gathered."""
    editor, seen = ShardedEditor(FLOW), []
    editor.register_forward_pre_hook(lambda *_: seen.append("gathered"))
    through(editor, lambda one: seen.append("worked"))
    assert seen == ["gathered", "worked"]
