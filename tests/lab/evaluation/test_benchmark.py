"""The benchmark must tell a right edit from a wrong one and from none."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_clips import NIGHT, RED_BEHIND, ExactStream, coloured_clip, exact_stream, pair, tensor
from tiny_model import tiny_stream

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.edits.apply import apply_edit
from liveedit_cam.lab.edits.spec import EditSpec, Family, Scope
from liveedit_cam.lab.edits.wordings import COLOURS
from liveedit_cam.lab.evaluation.benchmark import codec_db, measure
from liveedit_cam.lab.evaluation.pairs import Shelf
from liveedit_cam.lab.evaluation.rivals import Judge, rivals
from liveedit_cam.lab.evaluation.summary import summarise

CLIP = coloured_clip()
ASKED = (
    NIGHT,
    RED_BEHIND,
    EditSpec(Family.IDENTITY),
    EditSpec(Family.SKETCH),
    EditSpec(Family.RECOLOUR, Scope.SUBJECT, COLOURS["gold"]),
    EditSpec(Family.REPLACE_COLOUR, colour=COLOURS["green"], from_colour="red"),
    EditSpec(Family.SEPIA, Scope.LEFT),
    EditSpec(Family.WARM, strength=0.5),
    replace(RED_BEHIND, then=EditSpec(Family.BLACK_AND_WHITE, Scope.SUBJECT)),
)
PAIRS = tuple(pair(spec, number) for number, spec in enumerate(ASKED))


def test_exact_targets_score_full_marks() -> None:
    """Catches a mask, a target, a chunk or a frame that is not the one the editor saw.

    8-bit rounding of the target leaves 58 dB; 50 is far above any wrong edit.
    """
    results = [m.result for m in measure(exact_stream(CLIP, PAIRS), PAIRS, Shelf([CLIP]))]
    assert [u for r in results for u in r.understood if not u.is_right] == []
    assert min(r.picture.whole_db for r in results) > 50
    assert all(u.num_rivals > 40 for r in results for u in r.understood)
    assert all(r.motion.flicker == pytest.approx(r.motion.target_flicker, abs=0.3) for r in results)


def test_doing_nothing_gains_nothing_and_is_never_right() -> None:
    """Catches a gain that is measured against anything but the unedited source."""
    answers = {w.text: EditSpec(Family.IDENTITY) for one in PAIRS for w in one.wordings}
    lazy = ExactStream(CLIP, PAIRS[0].start, answers)
    results = [m.result for m in measure(lazy, PAIRS, Shelf([CLIP]))]
    for result in results:
        is_asked = result.pair.spec.family is not Family.IDENTITY
        assert all(u.is_right != is_asked for u in result.understood)
        assert result.picture.whole_db == pytest.approx(result.picture.source_whole_db, abs=0.01)
    assert summarise(results, 40.0).overall.gain_db == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(
    ("asked", "made"),
    [
        (RED_BEHIND, replace(RED_BEHIND, scope=Scope.SUBJECT)),
        (RED_BEHIND, replace(RED_BEHIND, colour=COLOURS["blue"])),
        (EditSpec(Family.SEPIA, Scope.LEFT), EditSpec(Family.SEPIA, Scope.RIGHT)),
        (EditSpec(Family.WARM, strength=0.5), EditSpec(Family.WARM)),
        (replace(RED_BEHIND, then=NIGHT), RED_BEHIND),
    ],
)
def test_a_near_miss_is_no_hit(asked: EditSpec, made: EditSpec) -> None:
    """Catches a right-target rate that only asks for the family: one thing is wrong each time."""
    frames, subject = tensor(CLIP.frames[:4]), tensor(CLIP.subject[:4])
    judge = Judge(frames, subject, asked, has_subject=True)
    answer = judge.answer(apply_edit(frames, subject, made)[0])
    assert (answer.is_right, answer.nearest) == (False, made)


def test_without_a_subject_nobody_is_asked_to_find_it() -> None:
    """Catches rivals whose targets an empty mask makes equal to the source."""
    frames = tensor(CLIP.frames[:1])
    scopes = {one.scope for one in rivals(NIGHT, frames, has_subject=False)}
    assert scopes == {Scope.WHOLE}


def test_one_wording_that_is_misunderstood_counts_alone() -> None:
    """Catches a rate that mixes up the wordings of training and the unseen ones."""
    one = pair(NIGHT)
    stream = ExactStream(CLIP, one.start, {"taught 0": NIGHT, "unseen 0": EditSpec(Family.SEPIA)})
    (measured,) = measure(stream, [one], Shelf([CLIP]))
    taught, unseen = measured.result.understood
    assert (taught.is_right, unseen.is_right, unseen.nearest) == (True, False, "sepia whole")
    wordings = summarise([measured.result], 40.0).wordings
    assert wordings.taught is not None
    assert wordings.unseen is not None
    assert (wordings.taught.share, wordings.unseen.share) == (1.0, 0.0)
    assert wordings.all_right.share == 0.0


def test_a_pair_that_begins_past_the_end_is_refused() -> None:
    """Catches a wrapped index: figures of other frames than the pair names."""
    with pytest.raises(UsageError, match="from frame 20 on, but disc has 20"):
        list(measure(exact_stream(CLIP, PAIRS), [pair(NIGHT, start=20)], Shelf([CLIP])))


def test_a_real_stream_is_measured_the_same_twice() -> None:
    """Catches state that leaks from pair to pair (a resumed run would then differ)."""
    one, other = pair(NIGHT), pair(RED_BEHIND, 1)
    both = [m.result for m in measure(tiny_stream(), [one, other], Shelf([CLIP]))]
    (alone,) = (m.result for m in measure(tiny_stream(), [other], Shelf([CLIP])))
    assert both[1] == alone


def test_the_codec_is_measured_alone_and_left_fresh() -> None:
    """Catches a codec that goes on with the last clip's state, and a figure of the edit."""
    stream = tiny_stream()
    first = codec_db(stream.codec, CLIP, (64, 96), stream.device)
    assert 5 < first < 60
    assert codec_db(stream.codec, CLIP, (64, 96), stream.device) == first
    assert torch.is_tensor(stream.codec.encode(torch.zeros(2, 3, 4, 64, 96)))
