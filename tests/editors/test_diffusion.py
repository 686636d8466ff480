"""The diffusion editor keeps the Editor contract."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_model import TINY, moving_frames, write_folder

from liveedit_cam.editors.diffusion import DiffusionEditor, create, describe
from liveedit_cam.errors import EditorError, UsageError, WeightsError
from liveedit_cam.model import EditStream, load
from liveedit_cam.model.governor import Setting
from liveedit_cam.protocols import Conditioning, Editor, EditorOptions
from liveedit_cam.types import Box, EditInstruction, Frame, Region

BLUE = EditInstruction("make it blue", revision=7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model's folder."""
    return write_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def editor(folder: Path) -> DiffusionEditor:
    """A new editor on the processor."""
    return create(EditorOptions(str(folder), "cpu"))


def frames(first: int = 40, num_frames: int = 4) -> list[Frame]:
    """Frames as a camera gives them: every third index, uneven times, read-only pixels."""
    made = []
    for n, pixels in enumerate(moving_frames(num_frames)):
        pixels.flags.writeable = False
        made.append(Frame(pixels, first + 3 * n, 100 + 0.1 * n * n, source=pixels))
    return made


def test_it_is_an_editor(editor: DiffusionEditor) -> None:
    """Catches a member of the seam that is missing, and a help line that names another backend."""
    assert isinstance(editor, Editor)
    assert editor.chunk_frames == TINY.chunk_frames
    assert editor.name == "tiny"
    assert describe().startswith("diffusion: ")


def test_order_index_and_time_are_kept_and_the_revision_set(editor: DiffusionEditor) -> None:
    """Catches frames renumbered by the editor, and edits that claim an instruction not theirs."""
    given = frames()
    edited = editor.edit(given, editor.encode(BLUE))
    assert [f.index for f in edited] == [40, 43, 46, 49]
    assert [f.captured_at for f in edited] == [f.captured_at for f in given]
    assert [f.revision for f in edited] == [7] * 4
    assert [f.revision for f in given] == [0] * 4
    for before, after in zip(given, edited, strict=True):
        assert after.source is before.source
        assert after.pixels.shape == before.pixels.shape
        assert after.pixels.dtype == np.uint8
        assert not np.array_equal(after.pixels, before.pixels)


def test_pictures_come_out_in_their_order(editor: DiffusionEditor) -> None:
    """Catches frames reversed inside a chunk: strength 0 gives each frame its own picture back."""
    given = frames()
    edited = editor.edit(given, editor.encode(replace(BLUE, strength=0.0)))
    for before, after in zip(given, edited, strict=True):
        assert np.array_equal(before.pixels, after.pixels)


def test_the_whole_instruction_counts(editor: DiffusionEditor) -> None:
    """Catches a region, strength or seed that is dropped on the way to the model."""
    given = frames()
    left = editor.encode(replace(BLUE, region=Region(0, 0, 0.25, 1)))
    edited = editor.edit(given, left)[0]
    assert np.array_equal(edited.pixels[:, 48:], given[0].pixels[:, 48:])
    assert not np.array_equal(edited.pixels[:, :24], given[0].pixels[:, :24])
    played = []
    for seed in (1, 2, 1):
        editor.reset()
        played.append(editor.edit(given, editor.encode(replace(BLUE, seed=seed)))[0].pixels)
    assert np.array_equal(played[0], played[2])
    assert not np.array_equal(played[0], played[1])


def test_bars_stay_and_the_picture_between_them_is_edited_alone(editor: DiffusionEditor) -> None:
    """Catches a model that sees and edits black bars, and regions measured in the cut picture.

    A portrait source on a wide sink: what comes out between the bars is that picture's own edit.
    """
    box = Box(24, 0, 40, moving_frames(1).shape[1])
    given = [replace(frame, box=box) for frame in frames()]
    for region, inner in ((None, None), (Region(0, 0, 44 / 96, 1), Region(0, 0, 0.5, 1))):
        editor.reset()
        text = editor.encode(replace(BLUE, region=region))
        edited = np.stack([frame.pixels for frame in editor.edit(given, text)])
        before = np.stack([frame.pixels for frame in given])
        outside = np.ones(before.shape[2], bool)
        outside[24:64] = False
        assert np.array_equal(edited[:, :, outside], before[:, :, outside])
        editor.reset()
        alone = [replace(f, pixels=f.pixels[:, 24:64].copy(), box=None) for f in given]
        cut = editor.edit(alone, editor.encode(replace(BLUE, region=inner)))
        assert np.array_equal(edited[:, :, 24:64], np.stack([frame.pixels for frame in cut]))
        assert not np.array_equal(edited, before)


def test_a_source_replaced_within_a_chunk_is_edited_wherever_it_is(
    editor: DiffusionEditor,
) -> None:
    """Catches a part of the picture that leaves unedited while bars move to other sides."""
    height, width, _ = moving_frames(1)[0].shape
    boxes = [Box(24, 0, 40, height)] * 2 + [Box(0, 8, width, height - 16)] * 2
    mixed = [replace(f, box=box) for f, box in zip(frames(), boxes, strict=True)]
    edited = editor.edit(mixed, editor.encode(BLUE))
    editor.reset()
    whole = editor.edit(frames(), editor.encode(BLUE))
    for one, other in zip(edited, whole, strict=True):
        assert np.array_equal(one.pixels, other.pixels)


def test_unknown_words_are_named_with_what_is_known(editor: DiffusionEditor) -> None:
    """Catches an instruction that does nothing without a word why."""
    told = editor.encode(EditInstruction("make it zebra purple"))
    assert told.notice is not None
    assert told.notice.startswith('not understood: "zebra", "purple". This model knows: ')
    assert "black and white" in told.notice
    assert editor.encode(BLUE).notice is None
    assert editor.encode(BLUE).instruction is BLUE


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("make it ночь", 'not understood: "ночь".'),
        ("سماء زرقاء", 'not understood: "سماء", "زرقاء".'),
        ("make it blue, blue, blue, make it", 'too long, its end is not read: "make it".'),
    ],
)
def test_what_is_not_read_is_told(editor: DiffusionEditor, prompt: str, told: str) -> None:
    """Catches words of another script, and words after the last one read, that get no answer."""
    notice = editor.encode(EditInstruction(prompt)).notice
    assert notice is not None
    assert notice.startswith(told)


def test_the_report_follows_the_stream(editor: DiffusionEditor) -> None:
    """Catches figures of another chunk, and a reset that forgets to empty the cache."""
    assert editor.report().kv_latents == 0
    assert editor.report().changed is None
    text = editor.encode(BLUE)
    for number in range(6):
        editor.edit(frames(4 * number), text)
        assert editor.report().kv_latents == min(number + 1, TINY.window_latents)
    assert editor.report().device == "cpu"
    assert 0.0 <= editor.report().cache_skip <= 1.0
    left = replace(BLUE, region=Region(0, 0, 0.5, 1))
    shares = []
    for instruction in (BLUE, left, replace(BLUE, strength=0.0)):
        given = frames()
        edited = editor.edit(given, editor.encode(instruction))
        apart = [
            np.abs(a.pixels.astype(int) - b.pixels).max(axis=2)[::4, ::4]
            for a, b in zip(given, edited, strict=True)
        ]
        shares.append(editor.report().changed)
        assert shares[-1] == pytest.approx((np.stack(apart) >= 8).mean())
    assert shares[0] > shares[1] > shares[2] == 0.0
    editor.reset()
    assert editor.report().kv_latents == 0
    assert len(editor.edit(frames(), text)) == 4


def test_close_twice(editor: DiffusionEditor) -> None:
    """Catches a second close that raises."""
    editor.edit(frames(), editor.encode(BLUE))
    editor.close()
    editor.close()


@pytest.mark.parametrize("num_frames", [3, 5])
def test_another_number_of_frames_is_refused(editor: DiffusionEditor, num_frames: int) -> None:
    """Catches a chunk that is silently cut or padded."""
    with pytest.raises(EditorError, match=rf"got {num_frames} frames of shapes \[\(64, 96, 3\)\]"):
        editor.edit(frames(num_frames=num_frames), editor.encode(BLUE))


def test_the_conditioning_of_another_editor_is_refused(editor: DiffusionEditor) -> None:
    """Catches a payload that fails deep inside the model."""
    with pytest.raises(EditorError, match="got a payload of str"):
        editor.edit(frames(), Conditioning(BLUE, "text"))


def test_faults_of_the_model_are_told(tmp_path: Path) -> None:
    """Catches a create() that hides why it failed."""
    with pytest.raises(UsageError, match="got model 'nanno'"):
        create(EditorOptions("nanno", "cpu"))
    with pytest.raises(WeightsError, match="got model folder"):
        create(EditorOptions(str(tmp_path), "cpu"))


def test_frames_of_two_sizes_are_refused(editor: DiffusionEditor) -> None:
    """Catches numpy's own error where the seam promises EditorError."""
    conditioning = editor.encode(EditInstruction("black and white"))
    frames = [
        Frame(np.zeros((height, 96, 3), np.uint8), index, 0.0)
        for index, height in enumerate((64, 64, 64, 48))
    ]
    with pytest.raises(EditorError, match="of one shape"):
        editor.edit(frames, conditioning)


def test_a_prompt_encoded_ahead_is_not_encoded_again(editor: DiffusionEditor) -> None:
    """Catches preparing that is thrown away: the same prompt must give the same payload."""
    ahead = editor.encode(EditInstruction("make it blue"))
    again = editor.encode(BLUE)
    assert again.payload is ahead.payload
    assert again.instruction is BLUE


class HungryStream:
    """A stream that runs out of memory until it was told to do without ``wants`` times."""

    def __init__(self, stream: EditStream, wants: int) -> None:
        self._stream = stream
        self._wants = wants

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def edit(self, *args: object, **kwargs: object) -> object:
        if self._wants:
            raise MemoryError("no room")
        return self._stream.edit(*args, **kwargs)  # type: ignore[arg-type]

    def apply(self, setting: Setting) -> None:
        self._wants -= 1
        self._stream.apply(setting)


def test_without_memory_it_does_without_something_and_goes_on(folder: Path) -> None:
    """Catches an editor that dies of a full device, or gives way without saying so."""
    editor = DiffusionEditor(HungryStream(load(str(folder), "cpu"), wants=2))  # type: ignore[arg-type]
    conditioning = editor.encode(BLUE)
    for told in ("window 4 -> 3 latents", "picture 96x64"):
        with pytest.raises(EditorError, match=told):
            editor.edit(frames(), conditioning)
    edited = editor.edit(frames(), conditioning)
    assert edited[0].pixels.shape == frames()[0].pixels.shape
    given_up = editor.report().given_up
    assert given_up is not None
    assert given_up.startswith("window 4 -> 3 latents, picture 96x64")


def test_with_nothing_left_to_give_up_it_says_so(folder: Path) -> None:
    """Catches an endless row of smaller pictures, and an error without a way out."""
    editor = DiffusionEditor(HungryStream(load(str(folder), "cpu"), wants=99))  # type: ignore[arg-type]
    conditioning = editor.encode(BLUE)
    errors = []
    for _ in range(8):
        with pytest.raises(EditorError) as caught:
            editor.edit(frames(), conditioning)
        errors.append(str(caught.value))
    assert "nothing is left to give up" in errors[-1]
    assert "--model nano" in errors[-1]


def test_a_rate_too_high_costs_steps(folder: Path) -> None:
    """Catches a target that is noted and never acted on; nobody can edit 1e6 frames a second."""
    editor = DiffusionEditor(load(str(folder), "cpu"), target_fps=1e6)
    conditioning = editor.encode(BLUE)
    for _ in range(4):
        editor.edit(frames(), conditioning)
    assert editor.report().given_up == "steps 4 -> 3"
    slow = DiffusionEditor(load(str(folder), "cpu"), target_fps=1e-3)
    for _ in range(4):
        slow.edit(frames(), conditioning)
    assert slow.report().given_up is None
