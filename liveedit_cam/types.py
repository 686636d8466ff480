"""The values that travel between layers: frames, fields, instructions, states. Knows only numpy.

A value here is frozen; whoever needs another one makes it with ``dataclasses.replace``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Pixels: TypeAlias = "NDArray[np.uint8]"
"""uint8 (H, W, 3), RGB, 0..255. A text, so that who only hands pictures on loads no numpy."""
Floats: TypeAlias = "NDArray[np.float32]"

MAX_PROMPT_CHARS = 2000
"""Longest instruction accepted, in characters; a longer one is refused with its length."""

MAX_TRANSITION_S = 10.0
"""Longest cross-fade from one edit to the next, in seconds."""


class Mode(StrEnum):
    """What the sinks show."""

    EDIT = "edit"
    """The edited picture; the last one again where no newer is ready."""
    BYPASS = "bypass"
    """The raw camera. Only ever by the user's explicit choice."""
    SLATE = "slate"
    """A still card; nothing of the camera leaves."""


class Choice(StrEnum):
    """What of a run can be exchanged while it goes on."""

    SOURCE = "source"
    SINK = "sink"
    """The first of the outputs."""
    MODEL = "model"
    STEPS = "steps"


class Fit(StrEnum):
    """How a picture gets the sinks' shape."""

    BARS = "bars"
    """All of it, with black bars."""
    CROP = "crop"
    """Over all of the sinks' picture; what sticks out is cut off."""
    STRETCH = "stretch"
    """All of it, over all of the sinks' picture."""


class LatencyMode(StrEnum):
    """How a captured frame gets its edit."""

    LIVE = "live"
    """At once: the newest field is carried to it by optical flow."""
    EXACT = "exact"
    """Late: it waits for the field that was made from it."""


class OnFailure(StrEnum):
    """What is shown while there is no edited picture."""

    SLATE = "slate"
    """The still card."""
    RAW = "raw"
    """The camera itself."""


class State(StrEnum):
    """Where the engine stands."""

    STARTING = "starting"
    WARMING = "warming"
    LIVE = "live"
    HOLDING = "holding"
    """No new edited frame for a while: the last one is shown again."""
    RECOVERING = "recovering"
    """The engine process died or hung and is being started again."""
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in whole pixels, origin top left."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture and where it comes from."""

    pixels: Pixels
    """uint8 (H, W, 3) RGB; treat as read-only."""
    index: int
    """Position in the source's stream, from 0."""
    captured_at: float
    """Seconds on ``time.monotonic()`` when the source delivered it."""
    revision: int = 0
    """Revision of the instruction that made it; 0 = untouched."""
    source: Pixels | None = None
    """The camera's picture this one was edited from, same size; None where that is not kept."""
    box: Box | None = None
    """Where the source's picture lies between black bars; None = it has none, or nobody knows."""
    field_at: float | None = None
    """``captured_at`` of the frame whose field edits this one; None = no field is on it."""


@dataclass(frozen=True, slots=True, eq=False)
class SoundBlock:
    """A piece of a microphone's sound."""

    samples: Floats
    """float32 (N, C), -1..1; C = channels."""
    captured_at: float
    """Seconds on ``time.monotonic()`` when its first sample was heard."""


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle as shares of the picture, 0..1, origin top left."""

    x: float
    y: float
    width: float
    height: float


CodecChoice = Literal["wan", "tiny"]
"""The released model's own codec, or the light one."""


@dataclass(frozen=True, slots=True)
class ModelSize:
    """Which picture sizes a model edits at: whole tokens, up to a number of them."""

    token_px: int
    """Side of a token in pixels."""
    num_tokens: int
    """The most it takes at once."""
    fixed: tuple[int, int] | None = None
    """Width and height that every picture is squeezed to; None = its aspect ratio is kept."""

    def takes(self, width: int, height: int) -> bool:
        """Whether a picture of so many pixels is of whole tokens, and not too many."""
        px = self.token_px
        return not (width % px or height % px) and width * height <= self.num_tokens * px * px

    def of(self, width: int, height: int) -> tuple[int, int]:
        """Width and height in pixels at which it edits a picture of ``width`` x ``height``.

        As many tokens as allowed, the aspect ratio as near as that allows.
        """
        if self.fixed is not None:
            return self.fixed
        columns, rows = _best_grid(width / height, self.num_tokens)
        return columns * self.token_px, rows * self.token_px


@lru_cache(maxsize=64)
def _best_grid(aspect: float, limit: int) -> tuple[int, int]:
    """Columns and rows of the grid of at most ``limit`` tokens that is nearest to ``aspect``.

    Kept, since 1,560 tokens are 9,000 grids, which take 2 ms.
    """
    grids = ((c, r) for r in range(2, limit // 2 + 1) for c in range(2, limit // r + 1))
    return max(grids, key=lambda g: g[0] * g[1] / limit - 3 * abs(math.log(g[0] / g[1] / aspect)))


@dataclass(frozen=True, slots=True, eq=False)
class ModelFrame:
    """A small copy of a frame, as large as the model edits."""

    pixels: Pixels
    """uint8 (h, w, 3) RGB of ``part``; treat as read-only."""
    index: int
    captured_at: float
    """Both as those of the ``Frame`` it was made from."""
    part: Region | None = None
    """Part of the sinks' picture it shows, without black bars; None = all of it."""


@dataclass(frozen=True, slots=True, eq=False)
class EditField:
    """What an edit changes, at model size, without a full-size pixel.

    Around each point change = B colour + c + rest, colours RGB in [0, 1].
    """

    cells: Floats
    """float32 (12, h/4, w/4): B row by row (change channel, source channel), then c."""
    rest: Floats | None
    """float32 (3, h, w): content that no affine change explains; None = there is none."""
    guide: NDArray[np.uint8]
    """uint8 (h, w), the grey source the field was made from."""
    index: int
    captured_at: float
    """Both as those of that source."""
    revision: int
    """Of the instruction that made it."""
    part: Region | None = None
    """Part of the sinks' picture it covers; None = all of it."""


@dataclass(frozen=True, slots=True)
class EditInstruction:
    """One instruction as a user gave it."""

    prompt: str
    strength: float = 1.0
    """0 (leave the picture as it is) .. 1 (the whole edit)."""
    region: Region | None = None
    """Where the edit may act; None = everywhere."""
    seed: int = 0
    origin: str = "cli"
    """Who asked: "cli", "web", "start", "preset:night", "obs:scene"."""
    created_at: float = 0.0
    """Seconds on ``time.monotonic()``."""
    revision: int = 0
    """Given by the Controller, counts up from 1; 0 = not accepted yet."""
    transition_s: float = 0.0
    """Seconds over which it is faded in from the edit before; 0 = a cut."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one instruction so far; seconds count from its acceptance."""

    revision: int
    encoded_s: float | None = None
    """None = the engine has not made it ready, or made a newer one ready."""
    visible_s: float | None = None
    """None = no picture of it, or of a newer one, has reached a sink."""
    refused: str | None = None
    """Why the engine cannot use it; None = it was not refused."""
    notice: str | None = None
    """What the user should know of it, such as words not understood; None = nothing."""
    changed: float | None = None
    """Share of the picture it changes, 0..1; None = not known."""

    @property
    def is_final(self) -> bool:
        """True once it is visible or refused."""
        return self.visible_s is not None or self.refused is not None


@dataclass(frozen=True, slots=True)
class Latency:
    """Median and 95th percentile of a delay, in milliseconds."""

    p50_ms: float = 0.0
    p95_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Status:
    """One snapshot of the whole program; what ``liveedit-cam status --json`` prints."""

    state: State = State.STARTING
    mode: Mode = Mode.EDIT
    instruction: str | None = None
    """Prompt of the edit now visible; None before the first edited frame."""
    revision: int = 0
    """Revision of the edit now visible."""
    pending: str | None = None
    """Prompt accepted but not visible yet; None when nothing waits."""
    pending_revision: int = 0
    strength: float = 1.0
    """Of the instruction accepted last, visible or pending; so are region and seed."""
    region: Region | None = None
    seed: int = 0
    notice: str | None = None
    """What the user should know of the instruction that was made ready last; None = nothing."""
    source: str = ""
    sinks: tuple[str, ...] = ()
    preview_url: str | None = None
    """Where a browser sees source and edited pictures; None without a preview sink."""
    model: str = ""
    device: str = ""
    edited_by: str | None = None
    """Who edits and how far away, where another computer is asked; None = none is."""
    latency: LatencyMode = LatencyMode.LIVE
    on_failure: OnFailure = OnFailure.SLATE
    wished_steps: int | None = None
    """Denoising steps that were asked for; None = the model's own, fewer on a slow machine."""
    num_steps: int = 0
    """Denoising steps of the last chunk; 0 = not known."""
    capture_fps: float = 0.0
    shown_fps: float = 0.0
    """New edited pictures a second at the sinks."""
    sink_fps: float = 0.0
    fields_per_second: float = 0.0
    """Chunks the model edits in a second."""
    field_age: Latency = field(default_factory=Latency)
    """How old the field on a picture was when shown: capture of its own frame to the sink."""
    chunk_latency: Latency = field(default_factory=Latency)
    """Taking a chunk's frames to having its fields."""
    glass_to_sink: Latency = field(default_factory=Latency)
    """Capture of a frame to the moment its edited picture was first written to the sinks."""
    frames_captured: int = 0
    frames_edited: int = 0
    """Full-size pictures a field was put on."""
    frames_shown: int = 0
    frames_skipped: int = 0
    """Captured frames the model did not look at; they were edited by the fields of others."""
    late_ticks: int = 0
    """Sink writes that began more than 8 ms after their due time."""
    cache_skip: float = 0.0
    """Share of tokens the mask cache reused in the middle steps, 0..1, over the last chunks."""
    changed: float | None = None
    """Share of the picture the edit changed in the last chunk, 0..1; None = not known."""
    recomputed: tuple[str, ...] | None = None
    """Tokens of the last chunk, a text of 1 (computed anew) and 0 (reused by the mask cache) for
    each row; None = all were computed."""
    field_map: tuple[str, ...] | None = None
    """How much the newest edit field changes, a text of digits, 0 (nothing) to 9, for each row."""
    kv_latents: int = 0
    given_up: str | None = None
    """What the model does without, for lack of memory or to hold a rate; None = nothing."""
    engine_restarts: int = 0
    engine_pid: int = 0
    obs: str = "off"
    """Where the connection to OBS stands: off, connecting, connected, waiting."""
    obs_detail: str | None = None
    """What to know of that connection: OBS's version, why it waits, what a rule lacks."""
    fit: Fit = Fit.BARS
    """How the source's picture gets the sinks' shape."""
    mirror: bool = False
    """Whether left and right are exchanged, for all sinks."""
    recording: str | None = None
    """File that is being recorded beside the run; None = none is."""
    recorded_s: float = 0.0
    """Length of that file, or of the last one, in seconds."""
    last_error: str | None = None
    uptime_s: float = 0.0
