"""What a camera and a server say to each other, one WebSocket message each. Knows no socket.

A message is binary: the length of a JSON header (uint32, little endian), the header, then blobs
(pictures, planes), each behind its own length. Both sides check all of it before they use any of
it. Times are durations only: an answer is bound to its frames by the number of the request, so no
clock of the one computer means anything on the other.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from liveedit_cam.errors import ModelError
from liveedit_cam.limits import Seed, Strength
from liveedit_cam.protocols import Editor, EditorReport
from liveedit_cam.types import MAX_PROMPT_CHARS, EditInstruction, ModelSize, Region

PROTOCOL = 2
"""Both sides must speak the same; a server answers another one with its own."""
MAX_MESSAGE_BYTES = 8 * 2**20
"""A chunk of the large model, twelve fields and all, is half of this."""
MAX_HEADER_BYTES = 64 * 1024
MAX_BLOBS = 128
_LENGTH = struct.Struct("<I")


class WireError(ModelError):
    """What came over the wire cannot be used."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Count = Annotated[int, Field(ge=0, lt=2**53)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Text = Annotated[str, Field(max_length=2 * MAX_PROMPT_CHARS)]
Name = Annotated[str, Field(max_length=200)]


class Rectangle(_Message):
    """A ``Region``, which may reach beyond the picture where it is a part's."""

    x: float
    y: float
    width: Annotated[float, Field(gt=0)]
    height: Annotated[float, Field(gt=0)]

    @classmethod
    def of(cls, region: Region | None) -> Rectangle | None:
        """None stays None, in both directions."""
        if region is None:
            return None
        return cls(x=region.x, y=region.y, width=region.width, height=region.height)


def region_of(rectangle: Rectangle | None) -> Region | None:
    """The inverse of ``Rectangle.of``."""
    if rectangle is None:
        return None
    return Region(rectangle.x, rectangle.y, rectangle.width, rectangle.height)


class Instruction(_Message):
    """The part of an ``EditInstruction`` that a model needs."""

    prompt: Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_CHARS)]
    strength: Strength = 1.0
    region: Rectangle | None = None
    seed: Seed = 0
    revision: Count = 0

    @classmethod
    def of(cls, one: EditInstruction) -> Instruction:
        """Without who asked, when, and how it fades in: that is the camera's business."""
        return cls(
            prompt=one.prompt,
            strength=one.strength,
            region=Rectangle.of(one.region),
            seed=one.seed,
            revision=one.revision,
        )

    @property
    def edit_instruction(self) -> EditInstruction:
        """The value a model takes."""
        region = region_of(self.region)
        return EditInstruction(
            self.prompt, self.strength, region, self.seed, "remote", revision=self.revision
        )


class Size(_Message):
    """How a server wants its frames: a ``ModelSize``, and how many at a time."""

    chunk_frames: Annotated[int, Field(ge=1, le=32)]
    token_px: Annotated[int, Field(ge=1, le=256)]
    num_tokens: Annotated[int, Field(ge=1, le=65_536)]

    @classmethod
    def of(cls, editor: Editor) -> Size:
        """What an editor wants next."""
        size = editor.size
        return cls(
            chunk_frames=editor.chunk_frames, token_px=size.token_px, num_tokens=size.num_tokens
        )

    @property
    def model_size(self) -> ModelSize:
        """The value the daemon makes small frames by."""
        return ModelSize(self.token_px, self.num_tokens)

    def takes(self, count: int, width: int, height: int) -> bool:
        """Whether so many frames are a chunk, and of whole tokens and not too many."""
        return count == self.chunk_frames and self.model_size.takes(width, height)


class Hello(_Message):
    """A camera's first message."""

    type: Literal["hello"] = "hello"
    protocol: Count = PROTOCOL
    token: Name
    model: Name = ""
    """The model it wants; "" = the server's."""


class Encode(_Message):
    """Make an instruction ready; Encoded or Rejected answers."""

    type: Literal["encode"] = "encode"
    number: Count
    instruction: Instruction


class Edit(_Message):
    """Edit a chunk; blobs: one JPEG for each frame, in order. Edited or Failed answers.

    A request that still waits when the next one comes is dropped without an answer.
    """

    type: Literal["edit"] = "edit"
    number: Count
    instruction: Instruction
    width: Annotated[int, Field(ge=4, le=4096)]
    height: Annotated[int, Field(ge=4, le=4096)]
    part: Rectangle | None = None
    every_frame: bool = False
    is_new_stream: bool = False
    """Whether what was seen before is to be forgotten."""


class Welcome(_Message):
    """The session is open."""

    type: Literal["welcome"] = "welcome"
    protocol: Count = PROTOCOL
    model: Name
    size: Size


Cause = Literal["protocol", "token", "model", "full", "limit", "malformed", "silent"]


class Refused(_Message):
    """No session, or no longer one; the connection ends."""

    type: Literal["refused"] = "refused"
    cause: Cause
    reason: Text


class Encoded(_Message):
    """The instruction is ready."""

    type: Literal["encoded"] = "encoded"
    number: Count
    notice: Text | None = None
    unknown: Annotated[tuple[Text, ...], Field(max_length=MAX_PROMPT_CHARS)] = ()


class Rejected(_Message):
    """The instruction cannot be used."""

    type: Literal["rejected"] = "rejected"
    number: Count
    reason: Text


class Report(_Message):
    """An ``EditorReport``."""

    cache_skip: float = 0.0
    kv_latents: Count = 0
    device: Name = "cpu"
    given_up: Text | None = None
    changed: float | None = None
    num_steps: Count = 0

    @classmethod
    def of(cls, report: EditorReport) -> Report:
        """What of an editor's report the camera can use."""
        return cls(**{name: getattr(report, name) for name in cls.model_fields})


class Edited(_Message):
    """The fields of a chunk; blobs: the planes of ``cells``, then of ``rest`` ("" = none)."""

    type: Literal["edited"] = "edited"
    number: Count
    count: Annotated[int, Field(ge=1, le=32)]
    """Fields, the newest frame's last."""
    server_s: Seconds
    """From the request's last byte to this answer, waiting included."""
    queued_s: Seconds = 0.0
    """The part of it in which the camera's own chunk before was edited."""
    size: Size
    """Of the next request."""
    report: Report


class Failed(_Message):
    """The edit raised; the stream starts anew."""

    type: Literal["failed"] = "failed"
    number: Count
    reason: Text
    size: Size


FromCamera = Hello | Encode | Edit
FromServer = Welcome | Refused | Encoded | Rejected | Edited | Failed
_FROM_CAMERA: TypeAdapter[FromCamera] = TypeAdapter(
    Annotated[FromCamera, Field(discriminator="type")]
)
_FROM_SERVER: TypeAdapter[FromServer] = TypeAdapter(
    Annotated[FromServer, Field(discriminator="type")]
)


def pack(message: FromCamera | FromServer, blobs: Sequence[bytes] = ()) -> bytes:
    """One message as bytes."""
    header = message.model_dump_json(exclude_defaults=False).encode()
    parts = [_LENGTH.pack(len(header)), header]
    for blob in blobs:
        parts += [_LENGTH.pack(len(blob)), blob]
    return b"".join(parts)


def from_camera(data: bytes) -> tuple[FromCamera, list[bytes]]:
    """What a camera said, and its blobs. Raises WireError."""
    header, blobs = _split(data)
    try:
        return _FROM_CAMERA.validate_json(header), blobs
    except ValidationError as error:
        raise _not_understood(error) from error


def from_server(data: bytes) -> tuple[FromServer, list[bytes]]:
    """What a server said, and its blobs. Raises WireError."""
    header, blobs = _split(data)
    try:
        return _FROM_SERVER.validate_json(header), blobs
    except ValidationError as error:
        raise _not_understood(error) from error


def _split(data: bytes) -> tuple[bytes, list[bytes]]:
    if len(data) > MAX_MESSAGE_BYTES:
        raise WireError(f"got a message of {len(data)} bytes, expected {MAX_MESSAGE_BYTES} at most")
    parts: list[bytes] = []
    at = 0
    while at < len(data) and len(parts) <= MAX_BLOBS:
        begins = at + _LENGTH.size
        if begins > len(data):
            raise WireError("got a message that ends within a length, expected whole parts")
        (length,) = _LENGTH.unpack_from(data, at)
        at = begins + length
        if at > len(data):
            raise WireError(f"got a part of {length} bytes in {len(data)}, expected whole parts")
        parts.append(data[begins:at])
    if not parts or len(parts[0]) > MAX_HEADER_BYTES or at < len(data):
        raise WireError(
            f"got {len(parts)} parts, expected a header of {MAX_HEADER_BYTES} bytes at most and "
            f"up to {MAX_BLOBS} blobs"
        )
    return parts[0], parts[1:]


def _not_understood(error: ValidationError) -> WireError:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "header"
    return WireError(f"got a message whose {place} is wrong: {first['msg']}")
