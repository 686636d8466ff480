"""The ablations at toy size: masks, clocks, samplers, the results file and the page."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch
from tiny_model import CPU, PAIRED, TINY, draw_latents, tiny_dit, tiny_text_kv, write_folder

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.ablations.cache import Listener, mean_cosine
from liveedit_cam.lab.ablations.cases import LOCAL, NOTHING, WHOLE, choose_clips, draw_cases
from liveedit_cam.lab.ablations.clock import BlockClock
from liveedit_cam.lab.ablations.live import by_minute, chunks_until, window_configs
from liveedit_cam.lab.ablations.paper import BEGIN, END, renew, slope
from liveedit_cam.lab.ablations.records import (
    PartRecord,
    Results,
    SwitchRow,
    read_results,
    resume,
    write_results,
)
from liveedit_cam.lab.ablations.rig import (
    Setup,
    Steps,
    Variant,
    compare,
    decoded_edit,
    load_networks,
)
from liveedit_cam.lab.ablations.sampler import sizes
from liveedit_cam.lab.ablations.stages import sample_live
from liveedit_cam.lab.commands import app
from liveedit_cam.lab.evaluation.records import weights_digest
from liveedit_cam.model.attention import MaskedAttend, rotation_table
from liveedit_cam.model.mask_cache import MaskCache
from liveedit_cam.model.sampling import sample_causal, sample_offline

SWITCH_ROWS = (SwitchRow("keep", 3, 1.0, 0, 0.4, 1.0),)


def record(name: str = "switch") -> PartRecord:
    return PartRecord(name, "edits of -99 dB", 1.0, "a processor", 2, "float32", "abc", SWITCH_ROWS)


def results(weights: str = "w") -> Results:
    return Results("tiny", weights, ("drawn-1000000",), (record(),))


def test_a_fixed_share_keeps_the_tokens_of_largest_change_in_every_latent() -> None:
    """Catches a rank over the whole chunk, and one that keeps the smallest changes."""
    mask = MaskCache(replace(PAIRED, mask_share=0.25))
    source = draw_latents(PAIRED, 2, 0)
    change = torch.zeros_like(source)
    change[:, :, 0, :2, :] = 1.0  # the first of four rows of tokens
    change[:, :, 1, -2:, :] = 0.01  # the last row, a hundred times less
    mask.observe(source + change, source)
    assert mask.edit_mask is not None
    kept = mask.edit_mask.view(2, 4, 6)
    assert kept[0, 0].all()
    assert kept[1, -1].all()
    assert int(kept.sum()) == 12


def test_the_listener_hears_what_is_alike_from_latent_to_latent() -> None:
    """Catches places, layers or steps that are mixed up: only equal latents give exactly 1."""
    listener = Listener(replace(TINY, num_layers=1))
    same, other = torch.ones(1, 3, 4), torch.tensor([1.0, -1.0, 1.0, -1.0]).expand(1, 3, 4)
    for chunk in range(2):
        for step in range(4):
            listener.begin_step(step, 4)
            listener.merge("self_attention", 0, None, same if step in (0, 3) else other)
            listener.merge("ffn", 0, None, same if chunk == 0 else other)
    row = listener.rows()[0]
    assert row.attention == pytest.approx(1.0)
    assert row.ffn == pytest.approx(0.0)
    assert row.attention_steps == pytest.approx(0.0)
    assert row.ffn_steps == pytest.approx(1.0)


def test_mean_cosine_does_not_see_length() -> None:
    """Catches a dot product: a longer vector in the same direction is as alike."""
    tokens = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(0))
    assert mean_cosine(tokens, 3 * tokens) == pytest.approx(1.0)


def test_the_clock_counts_self_attention_pass_by_pass() -> None:
    """Catches a clock that adds passes up: each reading is 1 s later, 1 s per layer."""
    ticks = count()
    clock = BlockClock(CPU, lambda: float(next(ticks)))
    dit = tiny_dit()
    clock.watch(dit)
    source = draw_latents(TINY, 1, 0)
    attend = MaskedAttend(rotation_table(range(1), dit.grid(source), TINY.head_dim), None)
    for _ in range(2):
        dit(source, source, torch.zeros(1, 1), tiny_text_kv(dit), attend)
    assert clock.passes == [2.0, 2.0]


def test_causal_sampling_of_one_chunk_is_offline_sampling() -> None:
    """Catches other sigmas, positions or guidance than the teacher's; floats add up otherwise."""
    dit, source = tiny_dit(), draw_latents(TINY, 1, 0)
    text, plain = tiny_text_kv(dit, 1), tiny_text_kv(dit, 2)
    ours, theirs = (
        sample(
            dit,
            source,
            text,
            plain,
            num_steps=5,
            guidance=3.0,
            shift=5.0,
            noise=torch.Generator().manual_seed(0),
        )
        for sample in (sample_causal, sample_offline)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_causal_sampling_sees_the_past_and_not_the_future() -> None:
    """Catches a cache that is not written, and one that later chunks reach back through."""
    dit = tiny_dit()
    text = tiny_text_kv(dit)
    source = draw_latents(TINY, 3, 0)
    past, future = source.clone(), source.clone()
    past[:, :, 0] += 1
    future[:, :, 2] += 1
    for sample in (sample_live, lambda *a: _few_steps(*a)):
        base = sample(dit, source, text, text)
        assert not torch.allclose(sample(dit, past, text, text)[:, :, 1], base[:, :, 1])
        assert torch.equal(sample(dit, future, text, text)[:, :, :2], base[:, :, :2])


def _few_steps(dit, source, text, plain):  # type: ignore[no-untyped-def]
    noise = torch.Generator().manual_seed(0)
    return sample_causal(
        dit, source, text, plain, num_steps=2, guidance=1.0, shift=5.0, noise=noise
    )


def test_variants_are_compared_with_the_base(tmp_path: Path) -> None:
    """Catches a wrong base, and streams that share caches: threshold 0 recomputes everything."""
    networks = load_networks(str(write_folder(tmp_path)), "cpu")
    networks = replace(networks, dit=networks.dit.float(), dtype=torch.float32)
    variants = (
        Variant("none", replace(TINY, mask_target="none")),
        Variant("all", replace(TINY, mask_threshold=-1.0)),
        Variant("few", replace(TINY, mask_share=0.1)),
    )
    cases = draw_cases(choose_clips(None, 1), (WHOLE,), per_clip=1)
    base, same, few = compare(networks, variants, cases, Steps(), num_chunks=3, first_measured=2)
    assert (base.loss_db, base.same_db, base.chunk) == (0.0, None, 1.0)
    assert (same.same_db, same.kept) == (60.0, 1.0)
    shown = compare(
        networks, variants, cases, Steps(), num_chunks=3, first_measured=2, edit=decoded_edit
    )
    assert (shown[0].loss_db, shown[1].same_db) == (0.0, 60.0)
    assert shown[2].same_db is not None
    assert few.same_db is not None
    assert shown[2].same_db < few.same_db  # compositing hides what the cache does to detail
    assert few.same_db is not None
    assert few.same_db < 60.0
    assert few.kept == pytest.approx(0.1, abs=0.05)


def test_cases_are_of_their_kind_and_always_the_same() -> None:
    """Catches local edits of the whole picture, and wordings drawn anew each time."""
    clips = choose_clips(None, 1)
    cases = draw_cases(clips, (LOCAL, WHOLE, NOTHING))
    assert [case.prompt for case in cases] == [
        case.prompt for case in draw_cases(clips, (LOCAL, WHOLE, NOTHING))
    ]
    shares = {case.edits: float(case.exact(0, 4)[2].mean()) for case in cases}
    assert shares[NOTHING] == 0.0
    assert 0.0 < shares[LOCAL] < 0.9
    assert shares[WHOLE] == 1.0


def test_an_edit_that_is_not_made_is_no_case(tmp_path: Path) -> None:
    """Catches a cache praised for losing nothing of an edit that the model never makes."""
    networks = load_networks(str(write_folder(tmp_path)), "cpu")
    clips = choose_clips(None, 1)
    asked = Setup(networks, clips, tmp_path, 1.0, Steps(), least_gain_db=6.0)
    assert [case.edits for case in asked.cases((NOTHING,))] == [NOTHING]
    with pytest.raises(UsageError, match="got no local edit that tiny makes by 6 dB on drawn"):
        asked.cases((LOCAL,))
    assert all(gain < 6.0 for gain in asked.gains.values())
    anything = replace(asked, least_gain_db=-99.0)
    assert {case.edits for case in anything.cases((LOCAL, WHOLE))} == {LOCAL, WHOLE}


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [((0.4, 0.1), 0), ((2.0, 0.6, 0.5, 0.2), 2), ((2.0, 0.1, 0.9, 0.2), 3), ((0.1, 0.9), None)],
)
def test_a_switch_is_over_when_the_gap_stays_small(
    gaps: tuple[float, ...], expected: int | None
) -> None:
    """Catches a count that ends at the first good chunk, or calls a bad last one good."""
    assert chunks_until(gaps) == expected


def test_windows_hold_their_sinks_and_the_chunk() -> None:
    """Catches sizes that a model refuses, and windows counted in latents for larger chunks."""
    sizes = {(c.window_latents, c.num_sink_latents) for c in window_configs(PAIRED)}
    assert len(sizes) == 14
    assert (4, 4) not in sizes
    assert (12, 4) in sizes


def test_every_size_is_whole_tokens_and_grows_by_the_square() -> None:
    """Catches a side that the model refuses, and a scale of the area in place of the side."""
    tokens = [c.height * c.width // c.token_px**2 for c in sizes(TINY)]
    assert tokens == [24, 54, 96]
    assert all(c.height % c.token_px == c.width % c.token_px == 0 for c in sizes(TINY))


def test_drift_is_a_mean_of_rounds_and_a_slope_of_minutes() -> None:
    """Catches rounds put into a wrong minute, and a slope per round."""
    rounds = [(0.0, 30.0), (0.9, 32.0), (1.2, 30.0), (2.1, 29.0)]
    assert by_minute(rounds) == [(0, 31.0), (1, 30.0), (2, 29.0)]
    assert slope([31.0, 30.0, 29.0]) == pytest.approx(-1.0)
    assert slope([31.0]) is None


def test_results_come_back_and_belong_to_their_weights(tmp_path: Path) -> None:
    """Catches fields lost on disk, and figures of other weights mixed in."""
    path = tmp_path / "results.json"
    write_results(path, results())
    assert read_results(path) == results()
    assert resume(path, results()) == results()
    with pytest.raises(UsageError, match="other weights"):
        resume(path, results("of another model"))
    path.write_text("{")
    with pytest.raises(UsageError, match="no results of ablations"):
        read_results(path)


def test_the_page_is_renewed_between_its_markers(tmp_path: Path) -> None:
    """Catches words that are lost, and figures that pile up when renewed twice."""
    page, bench = tmp_path / "paper.md", tmp_path / "none.json"
    page.write_text(f"before\n{BEGIN}\nold figures\n{END}\nafter\n")
    renew(page, results(), tmp_path, bench)
    once = page.read_text()
    renew(page, results(), tmp_path, bench)
    assert page.read_text() == once
    assert once.startswith("before\n")
    assert once.endswith("\nafter\n")
    assert "old figures" not in once
    assert "| keep | 3 | 1.0 | 0 | +0.40 | 1.00x |" in once
    page.write_text("no markers")
    with pytest.raises(UsageError, match="without the lines"):
        renew(page, results(), tmp_path, bench)


@pytest.mark.slow
def test_a_run_goes_on_and_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches a part measured twice, a missing stage passed over, and a last line that is no JSON.

    The model's own line of the stages is measured, the six that need a checkpoint are named.
    """
    folder, out = write_folder(tmp_path / "tiny"), tmp_path / "out"
    known = Results(str(folder), weights_digest(str(folder)), ("drawn-1000000",), (record(),))
    write_results(out / "results.json", known)
    told = ["--model", str(folder), "--out", str(out), "--runs", str(tmp_path), "--clips", "1"]
    told.append("--least-gain=-99")  # random weights make no edit
    app(["ablations", *told, "--parts", "stages,switch", "--threads", "1"], standalone_mode=False)
    printed = capsys.readouterr().out.splitlines()
    assert printed.count(f"not run: needs {tmp_path / 'foundation' / 'checkpoint.pt'}") == 2
    assert "switch: measured already" in printed
    parts = {part["name"]: part for part in json.loads(printed[-1])["parts"]}
    assert parts["switch"]["seconds"] == 1.0
    last = parts["stages"]["rows"][-1]
    assert last["needs"] is None
    assert last["whole_db"] > 0
    with pytest.raises(UsageError, match="got --parts nonsense, expected some of stages"):
        app(["ablations", *told, "--parts", "nonsense"], standalone_mode=False)
