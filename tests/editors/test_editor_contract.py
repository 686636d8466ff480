"""Every editor keeps the contract of the seam, the example plugin among them."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from tiny_model import moving_frames, write_folder

from liveedit_cam.compositing import put_on
from liveedit_cam.engine.messages import Edit
from liveedit_cam.engine.worker import check
from liveedit_cam.errors import InstructionError
from liveedit_cam.protocols import Editor, EditorOptions
from liveedit_cam.types import EditInstruction, ModelFrame, Region

PLUGIN = Path(__file__).parents[2] / "plugins/example_editor/liveedit_example_editor.py"
PROMPTS = {"diffusion": "make it blue", "poster": "4 colours"}


def plugin() -> ModuleType:
    spec = importlib.util.spec_from_file_location(PLUGIN.stem, PLUGIN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[PLUGIN.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=sorted(PROMPTS))
def editor(request: pytest.FixtureRequest, tmp_path: Path) -> Editor:
    options = EditorOptions(str(tmp_path / "tiny"), "cpu")
    if request.param == "poster":
        return plugin().create(options)
    from liveedit_cam.editors import diffusion

    write_folder(Path(options.model))
    return diffusion.create(options)


def prompt_of(editor: Editor) -> str:
    return PROMPTS["poster" if editor.name == "poster" else "diffusion"]


def chunk(editor: Editor, part: Region | None = None) -> tuple[ModelFrame, ...]:
    width, height = editor.size.of(640, 360)
    clip = moving_frames(editor.chunk_frames, height, width)
    return tuple(ModelFrame(p, 5 + n, 0.1 * n, part) for n, p in enumerate(clip))


@pytest.mark.parametrize("every_frame", [True, False])
@pytest.mark.parametrize("part", [None, Region(0.25, 0.0, 0.5, 1.0)])
def test_fields_are_as_promised(editor: Editor, every_frame: bool, part: Region | None) -> None:
    """Catches an editor whose fields the engine would refuse in the first second of a call."""
    assert isinstance(editor, Editor)
    conditioning = editor.encode(EditInstruction(prompt_of(editor), revision=3))
    frames = chunk(editor, part)
    fields = editor.edit(frames, conditioning, every_frame=every_frame)
    check(Edit(frames, every_frame), 3, fields)
    assert not np.array_equal(put_on(frames[-1].pixels, fields[-1]), frames[-1].pixels)
    editor.reset()
    editor.report()
    editor.close()
    editor.close()


def test_strength_and_region_are_in_the_field(editor: Editor) -> None:
    """Catches an edit beside its region, and one at full strength for strength 0."""
    frames = chunk(editor)
    for changes in ({"strength": 0.0}, {"region": Region(0, 0, 0.25, 1)}):
        instruction = replace(EditInstruction(prompt_of(editor), revision=1), **changes)
        fields = editor.edit(frames, editor.encode(instruction), every_frame=False)
        out = put_on(frames[-1].pixels, fields[-1])
        beside = np.s_[:, frames[-1].pixels.shape[1] // 2 :]
        assert np.array_equal(out[beside], frames[-1].pixels[beside])


def test_the_plugin_says_what_it_cannot_do() -> None:
    """Catches a plugin whose refusal is a traceback."""
    with pytest.raises(InstructionError, match="expected a number of colours"):
        plugin().create(EditorOptions("")).encode(EditInstruction("make it night"))
