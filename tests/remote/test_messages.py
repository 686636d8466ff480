"""What crosses the wire comes out as it went in, and anything else is refused with a reason."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liveedit_cam.remote.messages import (
    MAX_MESSAGE_BYTES,
    Edit,
    Edited,
    Hello,
    Instruction,
    Rectangle,
    Report,
    Size,
    WireError,
    from_camera,
    from_server,
    pack,
    region_of,
)
from liveedit_cam.types import EditInstruction, Region

INSTRUCTION = EditInstruction("make it night", 0.5, Region(0, 0.25, 0.5, 0.5), 3, revision=7)


def edit(**changes: object) -> Edit:
    values = {"number": 4, "instruction": Instruction.of(INSTRUCTION), "width": 64, "height": 48}
    return Edit.model_validate(values | changes)


def test_a_request_comes_out_as_it_went_in() -> None:
    """Catches a lost blob, and an instruction whose region, seed or revision is dropped."""
    sent = edit(part=Rectangle(x=0.25, y=0, width=0.5, height=1), every_frame=True)
    message, blobs = from_camera(pack(sent, [b"one", b"", b"three"]))
    assert (message, blobs) == (sent, [b"one", b"", b"three"])
    assert isinstance(message, Edit)
    found = message.instruction.edit_instruction
    assert (found.prompt, found.strength, found.seed, found.revision) == (
        "make it night",
        0.5,
        3,
        7,
    )
    assert found.region == INSTRUCTION.region
    assert region_of(message.part) == Region(0.25, 0, 0.5, 1)


def test_an_answer_comes_out_as_it_went_in() -> None:
    """Catches a report or a size that the camera would not see."""
    size = Size(chunk_frames=4, token_px=16, num_tokens=144)
    sent = Edited(number=4, count=1, server_s=0.1, size=size, report=Report(changed=0.5))
    assert from_server(pack(sent, [b"cells", b""])) == (sent, [b"cells", b""])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "0 parts"),
        (b"\x01", "within a length"),
        (struct.pack("<I", 9) + b"{}", "9 bytes"),
        (struct.pack("<I", 2) + b"{}", "type"),
        (pack(Hello(token="x")).replace(b'"hello"', b'"holla"'), "holla"),
        (pack(edit()).replace(b'"strength":0.5', b'"strength":7.5'), "strength"),
        (pack(edit()).replace(b'"strength":0.5', b'"strength":NaN'), "JSON|strength|number"),
        (pack(edit()).replace(b'"prompt"', b'"promqt"'), "prompt"),
        (bytes(MAX_MESSAGE_BYTES + 1), "at most"),
    ],
)
def test_a_bad_message_is_named(data: bytes, says: str) -> None:
    """Catches a check that lets it through, and one that says only "bad message"."""
    with pytest.raises(WireError, match=says):
        from_camera(data)


def test_a_camera_cannot_speak_as_a_server() -> None:
    """Catches one parser for both, with which a camera could send a welcome."""
    with pytest.raises(WireError):
        from_server(pack(edit()))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 255))
def test_no_bytes_do_more_than_be_refused(noise: bytes, at: int, value: int) -> None:
    """Catches an error of another kind, which would end a server's connection in a traceback."""
    good = bytearray(pack(edit(), [b"picture"]))
    good[at % len(good)] = value
    for data in (noise, bytes(good), bytes(good[: at % len(good)])):
        for parse in (from_camera, from_server):
            with suppress(WireError):
                parse(data)
