"""The diffusion editor keeps the Editor contract."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_model import TINY, moving_frames, write_folder

from liveedit_cam.compositing import put_on
from liveedit_cam.editors.diffusion import DiffusionEditor, create, describe
from liveedit_cam.errors import EditorError, GaveWayError, UsageError, WeightsError
from liveedit_cam.model import EditStream, TextConditioning, load
from liveedit_cam.model.governor import Setting
from liveedit_cam.protocols import Conditioning, Editor, EditorOptions
from liveedit_cam.types import EditField, EditInstruction, ModelFrame, Region

BLUE = EditInstruction("make it blue", revision=7)
OPTIONS = EditorOptions("tiny", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model's folder."""
    return write_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def editor(folder: Path) -> DiffusionEditor:
    """A new editor on the processor."""
    return create(EditorOptions(str(folder), "cpu"))


def frames(first: int = 40, num_frames: int = 4) -> list[ModelFrame]:
    """Frames as the daemon gives them: every third index, uneven times, read-only pixels."""
    made = []
    for n, pixels in enumerate(moving_frames(num_frames)):
        pixels.flags.writeable = False
        made.append(ModelFrame(pixels, first + 3 * n, 100 + 0.1 * n * n))
    return made


def edit(
    editor: DiffusionEditor, given: list[ModelFrame], conditioning: Conditioning
) -> list[EditField]:
    return editor.edit(given, conditioning, every_frame=True)


def shown(given: list[ModelFrame], fields: list[EditField]) -> list[NDArray[np.uint8]]:
    return [put_on(f.pixels, field) for f, field in zip(given, fields, strict=True)]


def test_it_is_an_editor(editor: DiffusionEditor) -> None:
    """Catches a member of the seam that is missing, and a help line that names another backend."""
    assert isinstance(editor, Editor)
    assert editor.chunk_frames == TINY.chunk_frames
    assert editor.name == "tiny"
    assert describe().startswith("diffusion: ")


def test_order_index_and_time_are_kept_and_the_revision_set(editor: DiffusionEditor) -> None:
    """Catches frames renumbered by the editor, and edits that claim an instruction not theirs."""
    given = frames()
    fields = edit(editor, given, editor.encode(BLUE))
    assert [f.index for f in fields] == [40, 43, 46, 49]
    assert [f.captured_at for f in fields] == [f.captured_at for f in given]
    assert [f.revision for f in fields] == [7] * 4
    for frame, field in zip(given, fields, strict=True):
        assert field.guide.shape == frame.pixels.shape[:2]
        assert not np.array_equal(put_on(frame.pixels, field), frame.pixels)


def test_the_newest_frames_field_can_be_had_alone(editor: DiffusionEditor) -> None:
    """Catches four fields made, and sent, where one is looked at."""
    fields = editor.edit(frames(), editor.encode(BLUE), every_frame=False)
    assert [f.index for f in fields] == [49]


def test_the_whole_instruction_counts(editor: DiffusionEditor) -> None:
    """Catches a region, strength or seed that is dropped on the way to the model, and a guess
    where no word was understood."""
    given = frames()
    none = edit(editor, given, editor.encode(replace(BLUE, strength=0.0)))
    for frame, picture in zip(given, shown(given, none), strict=True):
        assert np.array_equal(frame.pixels, picture)
    unknown = edit(editor, given, editor.encode(replace(BLUE, prompt="make it zebra")))
    assert np.array_equal(shown(given, unknown)[-1], given[-1].pixels)
    left = editor.encode(replace(BLUE, region=Region(0, 0, 0.25, 1)))
    picture = shown(given, edit(editor, given, left))[0]
    assert np.array_equal(picture[:, 48:], given[0].pixels[:, 48:])
    assert not np.array_equal(picture[:, :24], given[0].pixels[:, :24])
    played = []
    for seed in (1, 2, 1):
        editor.reset()
        played.append(edit(editor, given, editor.encode(replace(BLUE, seed=seed)))[0].cells)
    assert np.array_equal(played[0], played[2])
    assert not np.array_equal(played[0], played[1])


def test_a_region_is_one_of_the_whole_picture(editor: DiffusionEditor) -> None:
    """Catches a region measured between black bars: the left half of a wide sink is not the left
    half of the upright picture in its middle.
    """
    part = Region(0.25, 0.0, 0.5, 1.0)
    given = [replace(frame, part=part) for frame in frames()]
    text = editor.encode(replace(BLUE, region=Region(0, 0, 0.5, 1)))
    fields = edit(editor, given, text)
    assert {field.part for field in fields} == {part}
    editor.reset()
    halved = editor.encode(replace(BLUE, region=Region(0, 0, 0.5, 1)))
    alone = edit(editor, frames(), halved)
    assert np.array_equal(fields[0].cells, alone[0].cells)
    editor.reset()
    whole = edit(editor, frames(), editor.encode(BLUE))
    assert not np.array_equal(whole[0].cells, alone[0].cells)


def test_unknown_words_are_named_with_what_is_known(editor: DiffusionEditor) -> None:
    """Catches an instruction that does nothing without a word why."""
    told = editor.encode(EditInstruction("make it zebra blue"))
    known = "This model knows: black and white, blue."
    assert told.notice == f'not understood: "zebra". {known}'
    told = editor.encode(EditInstruction("make it zebra purple"))
    assert told.notice == f'not understood: "zebra", "purple"; so nothing is changed. {known}'
    assert editor.encode(BLUE).notice is None
    assert editor.encode(BLUE).instruction is BLUE


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("make it ночь", 'not understood: "ночь"; so nothing is changed.'),
        ("سماء زرقاء", 'not understood: "سماء", "زرقاء"; so nothing is changed.'),
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
        edit(editor, frames(4 * number), text)
        assert editor.report().kv_latents == min(number + 1, TINY.window_latents)
    assert editor.report().device == "cpu"
    assert 0.0 <= editor.report().cache_skip <= 1.0
    left = replace(BLUE, region=Region(0, 0, 0.5, 1))
    shares = []
    for instruction in (BLUE, left, replace(BLUE, strength=0.0)):
        given = frames()
        fields = edit(editor, given, editor.encode(instruction))
        last = put_on(given[-1].pixels, fields[-1])
        apart = np.abs(last.astype(int) - given[-1].pixels).max(axis=2)
        shares.append(editor.report().changed)
        assert shares[-1] == pytest.approx((apart >= 8).mean(), abs=0.05)
    assert shares[0] > shares[1] > shares[2] == 0.0
    assert editor.report().num_steps == len(TINY.timesteps)
    editor.reset()
    assert editor.report().kv_latents == 0
    assert len(edit(editor, frames(), text)) == 4


def test_close_twice(editor: DiffusionEditor) -> None:
    """Catches a second close that raises."""
    edit(editor, frames(), editor.encode(BLUE))
    editor.close()
    editor.close()


@pytest.mark.parametrize("num_frames", [3, 5])
def test_another_number_of_frames_is_refused(editor: DiffusionEditor, num_frames: int) -> None:
    """Catches a chunk that is silently cut or padded."""
    with pytest.raises(EditorError, match=rf"got {num_frames} frames of shapes \[\(64, 96, 3\)\]"):
        edit(editor, frames(num_frames=num_frames), editor.encode(BLUE))


def test_the_conditioning_of_another_editor_is_refused(editor: DiffusionEditor) -> None:
    """Catches a payload that fails deep inside the model."""
    with pytest.raises(EditorError, match="got a payload of str"):
        edit(editor, frames(), Conditioning(BLUE, "text"))


def test_faults_of_the_model_are_told(tmp_path: Path) -> None:
    """Catches a create() that hides why it failed."""
    with pytest.raises(UsageError, match="got model 'nanno'"):
        create(EditorOptions("nanno", "cpu"))
    with pytest.raises(WeightsError, match="got model folder"):
        create(EditorOptions(str(tmp_path), "cpu"))


def test_frames_of_two_sizes_are_refused(editor: DiffusionEditor) -> None:
    """Catches numpy's own error where the seam promises EditorError."""
    conditioning = editor.encode(EditInstruction("black and white"))
    given = [
        ModelFrame(np.zeros((height, 96, 3), np.uint8), index, 0.0)
        for index, height in enumerate((64, 64, 64, 48))
    ]
    with pytest.raises(EditorError, match="of one shape"):
        edit(editor, given, conditioning)


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

    def change(self, *args: object, **kwargs: object) -> object:
        if self._wants > 0:
            raise MemoryError("no room")
        return self._stream.change(*args, **kwargs)  # type: ignore[arg-type]

    def apply(self, setting: Setting) -> None:
        self._wants -= 1  # once at the start, then whenever memory ran out
        self._stream.apply(setting)


def test_without_memory_it_does_without_something_and_goes_on(folder: Path) -> None:
    """Catches an editor that dies of a full device, or gives way without saying so."""
    editor = DiffusionEditor(HungryStream(load(str(folder), "cpu"), wants=3), OPTIONS)  # type: ignore[arg-type]
    conditioning = editor.encode(BLUE)
    for told in ("window 4 -> 3 latents", "picture 96x64"):
        with pytest.raises(EditorError, match=told):
            edit(editor, frames(), conditioning)
    assert len(edit(editor, frames(), conditioning)) == 4
    assert editor.size.of(960, 640) != TINY.size.of(960, 640)
    given_up = editor.report().given_up
    assert given_up is not None
    assert given_up.startswith("window 4 -> 3 latents, picture 96x64")


def test_with_nothing_left_to_give_up_it_says_so(folder: Path) -> None:
    """Catches an endless row of smaller pictures, and an error without a way out."""
    editor = DiffusionEditor(HungryStream(load(str(folder), "cpu"), wants=99), OPTIONS)  # type: ignore[arg-type]
    conditioning = editor.encode(BLUE)
    errors = []
    for _ in range(8):
        with pytest.raises(EditorError) as caught:
            edit(editor, frames(), conditioning)
        errors.append(str(caught.value))
    assert "nothing is left to give up" in errors[-1]
    assert "--model nano" in errors[-1]


def test_fields_too_old_cost_passes(folder: Path) -> None:
    """Catches a limit that is noted and never acted on; no machine edits in a microsecond."""
    options = replace(OPTIONS, max_field_age_s=1e-6)
    editor = DiffusionEditor(load(str(folder), "cpu"), options)
    conditioning = editor.encode(BLUE)
    for _ in range(5):
        edit(editor, frames(), conditioning)
    assert editor.report().given_up == "no context pass"
    patient = DiffusionEditor(load(str(folder), "cpu"), replace(OPTIONS, max_field_age_s=1e3))
    for _ in range(5):
        edit(patient, frames(), conditioning)
    assert patient.report().given_up is None


def test_fields_too_old_cost_pixels_in_the_end(folder: Path) -> None:
    """Catches a size that is never told, and frames of the former size that end the stream."""
    options = replace(OPTIONS, max_field_age_s=1e-6)
    editor = DiffusionEditor(load(str(folder), "cpu"), options)
    conditioning = editor.encode(BLUE)
    assert editor.size.of(96, 64) == (96, 64)
    while editor.size.of(96, 64) == (96, 64):
        edit(editor, frames(), conditioning)
    assert editor.size.of(96, 64) == (80, 48)
    assert "picture 96x64 -> 80x48" in str(editor.report().given_up)
    on_the_way = edit(editor, frames(), conditioning)
    smaller = edit(editor, [replace(one, pixels=one.pixels[:48, :80]) for one in frames()],
                   conditioning)  # fmt: skip
    assert [one[-1].guide.shape for one in (on_the_way, smaller)] == [(64, 96), (48, 80)]


def test_the_steps_asked_for_are_run(folder: Path) -> None:
    """Catches --steps that is taken and dropped."""
    editor = DiffusionEditor(load(str(folder), "cpu"), replace(OPTIONS, num_steps=2))
    edit(editor, frames(), editor.encode(BLUE))
    assert editor.report().num_steps == 2


class FullDevice:
    """A stream with nothing free: it warms up and edits only after ``wants`` steps down."""

    def __init__(self, stream: EditStream, wants: int, *, text_is_kept: bool = False) -> None:
        self._stream = stream
        self.wants = wants
        self.text_is_kept = text_is_kept
        self.num_encoded = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def apply(self, setting: Setting) -> None:
        self.wants -= 1
        self._stream.apply(setting)

    def warm_up(self) -> None:
        if self.wants >= 0:
            raise torch.OutOfMemoryError("no room for recordings")

    def free_text(self) -> bool:
        was_kept, self.text_is_kept = self.text_is_kept, False
        return was_kept

    def encode_text(self, prompt: str) -> TextConditioning:
        self.num_encoded += 1
        if self.text_is_kept:
            raise torch.OutOfMemoryError("no room for the text")
        return self._stream.encode_text(prompt)


def test_a_warm_up_without_room_steps_down(folder: Path) -> None:
    """Catches an engine that dies at every start of the same want of memory, for ever."""
    stream = FullDevice(load(str(folder), "cpu"), wants=2)
    editor = DiffusionEditor(stream, OPTIONS)  # type: ignore[arg-type]
    given_up = editor.report().given_up
    assert given_up is not None
    assert given_up.startswith("window 4 -> 3 latents, picture 96x64")
    with pytest.raises(UsageError, match="before the first edit, with everything given up"):
        DiffusionEditor(FullDevice(load(str(folder), "cpu"), wants=99), OPTIONS)  # type: ignore[arg-type]


def test_encoding_without_room_gives_up_the_kept_encoder_alone(folder: Path) -> None:
    """Catches a new instruction that is refused, and a window given up for it."""
    stream = FullDevice(load(str(folder), "cpu"), wants=0, text_is_kept=True)
    editor = DiffusionEditor(stream, OPTIONS)  # type: ignore[arg-type]
    assert editor.encode(BLUE).instruction is BLUE
    assert (stream.num_encoded, editor.report().given_up) == (2, None)


def test_what_gave_way_is_no_failure_of_the_engine(folder: Path) -> None:
    """Catches an engine that ends after three steps down a ladder of five."""
    editor = DiffusionEditor(HungryStream(load(str(folder), "cpu"), wants=2), OPTIONS)  # type: ignore[arg-type]
    with pytest.raises(GaveWayError):
        edit(editor, frames(), editor.encode(BLUE))


@pytest.mark.parametrize("changes", [{"codec": "tiny"}, {"lora": "x.safetensors"}])
def test_nano_takes_no_part_of_the_large_model(folder: Path, changes: dict[str, str]) -> None:
    """Catches a setting that is taken and dropped."""
    with pytest.raises(UsageError, match="for tiny, which takes none"):
        create(replace(OPTIONS, model=str(folder), **changes))  # type: ignore[arg-type]


def test_window_and_paper_mode_reach_the_stream(folder: Path) -> None:
    """Catches a window that is dropped, and a ladder that begins at another one."""
    editor = create(replace(OPTIONS, model=str(folder), window=2))
    text = editor.encode(BLUE)
    for number in range(4):
        edit(editor, frames(4 * number), text)
    assert editor.report().kv_latents == 2
    assert editor.report().given_up is None
    with pytest.raises(UsageError, match="got paper mode for tiny"):
        create(replace(OPTIONS, model=str(folder), is_paper_mode=True))
