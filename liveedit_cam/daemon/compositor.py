"""Edit fields put on full-size frames, one thread. Knows no engine, no sink and no device.

Two ways of the same calls. Live: the newest field is carried by optical flow to the frame at hand,
which goes on at once. Exact: a frame waits for its own field. Where no field may be used nothing is
made, and the sinks keep the last edited picture, then the still card: never a raw frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from liveedit_cam.compositing import Carrier, CrossFade, CutDetector, put_on
from liveedit_cam.daemon.mailbox import MAX_SHOTS, Shot, WorkBox
from liveedit_cam.daemon.playout import Playout
from liveedit_cam.daemon.run import Run
from liveedit_cam.pixels import shrink
from liveedit_cam.types import EditField, Frame, LatencyMode, ModelFrame, Pixels

HELD = 3.0
"""A field is carried on for at least so many times the distance of the last two: a slow editor must
not blink between picture and card."""
REST_S = 3.0
"""A source that gave nothing for so long shows another scene when it comes back."""
WAIT_S = 0.1
"""Longest wait for work before looking whether the run has ended."""


class Compositor:
    """One step edits what came in since the last. Belongs to the compositor thread."""

    def __init__(
        self,
        work: WorkBox,
        playout: Playout,
        run: Run,
        *,
        hold_s: float,
        transition_of: Callable[[int], float] = lambda revision: 0.0,
    ) -> None:
        """``hold_s``: age in seconds up to which a field is carried on, more where fields are rare.

        ``transition_of`` tells over how many seconds a revision is faded in. Sets
        ``run.ends.composing`` when the last field of ``run.ends.editing`` is on its frame.
        """
        self._work = work
        self._playout = playout
        self._board, self._metrics, self._now = run.board, run.metrics, run.now
        self._ends = run.ends
        self._hold_s = hold_s
        self._carrier = Carrier()
        self._fade = CrossFade()
        self._transition_of = transition_of
        self._cuts = CutDetector()
        self._field: EditField | None = None
        self._distance_s = 0.0
        self._layout: object = None
        self._scene_since = self._last_at = float("-inf")
        self._waiting: deque[Shot] = deque(maxlen=MAX_SHOTS)
        self._latency: LatencyMode | None = None

    def step(self) -> bool:
        """Take what waits and edit it. Never False: there may always be more."""
        latency = self._board.status().latency
        if latency is not self._latency:
            self._begin(latency)
        has_ended = self._ends.editing.is_set()  # asked first: then the box is complete
        work = self._work.take(WAIT_S)
        for shot in work.shots:
            self._follow_scene(shot)
        if latency is LatencyMode.LIVE:
            self._take_newest(work.fields)
            edited = self._live(work.shots[-1]) if work.shots else None
            self._show([edited] if edited else [])
        else:
            self._waiting.extend(work.shots)
            self._show([e for e in map(self._exact, work.fields) if e is not None])
        if has_ended and self._work.is_empty:
            self._ends.composing.set()
        return True

    def _begin(self, latency: LatencyMode) -> None:
        if self._latency is None:
            _warm_up()
        self._latency = latency
        self._field = None
        self._waiting.clear()
        self._playout.follow(latency)

    def _follow_scene(self, shot: Shot) -> None:
        """Fields of the scene before a cut, or before the source rested, mean nothing after it."""
        at, before = shot.frame.captured_at, self._last_at
        self._last_at = at
        is_cut = shot.small is not None and self._cuts.is_cut(shot.small.pixels, at)
        is_laid_out_anew, self._layout = shot.layout != self._layout, shot.layout
        if is_cut or is_laid_out_anew or at - before > REST_S:
            self._scene_since = at
            self._fade.end()

    def _take_newest(self, fields: tuple[EditField, ...]) -> None:
        for field in fields:
            newest = self._field
            if newest is None or _order(field) >= _order(newest):
                if newest is not None:
                    self._distance_s = field.captured_at - newest.captured_at
                    self._begin_fade(newest, field)
                self._field = field

    def _begin_fade(self, before: EditField, field: EditField) -> None:
        """Where the instruction is another one, fade to it as it asks."""
        if before.revision != field.revision:
            self._fade.begin(before, self._transition_of(field.revision))

    def _live(self, shot: Shot) -> Frame | None:
        """The frame under the newest field; None where that one may not be used."""
        field, small = self._field, shot.small
        if field is None or small is None or not self._may_use(field, small):
            return None
        height, width = field.guide.shape  # the editor may want another size by now
        pixels = shrink(small.pixels, width, height)
        if field.index != small.index:
            field = self._carrier.carry(field, pixels)
        return _edited(shot.frame, self._fade.mixed(field, pixels, shot.frame.captured_at))

    def _may_use(self, field: EditField, small: ModelFrame) -> bool:
        return (
            field.part == small.part
            and field.captured_at >= self._scene_since
            and self._now() - field.captured_at <= max(self._hold_s, HELD * self._distance_s)
        )

    def _exact(self, field: EditField) -> Frame | None:
        """The frame this field was made from, under it; None where that is gone."""
        while self._waiting and self._waiting[0].frame.index < field.index:
            self._waiting.popleft()
        if not self._waiting or self._waiting[0].frame.index != field.index:
            return None
        shot = self._waiting.popleft()
        if self._field is not None:
            self._begin_fade(self._field, field)
        self._field = field
        if shot.small is not None:
            field = self._fade.mixed(field, shot.small.pixels, shot.frame.captured_at)
        return _edited(shot.frame, field)

    def _show(self, frames: list[Frame]) -> None:
        for frame in frames:
            self._playout.put([frame], self._now())
            self._metrics.composited()


def _order(field: EditField) -> tuple[int, float]:
    return field.revision, field.captured_at


def _edited(frame: Frame, field: EditField) -> Frame:
    box = frame.box
    if box is None or field.part is None:
        pixels = put_on(frame.pixels, field)
    else:  # black bars are no part of the picture
        pixels = frame.pixels.copy()
        inside = pixels[box.y : box.y + box.height, box.x : box.x + box.width]
        inside[:] = put_on(inside, field)
    return replace(
        frame,
        pixels=pixels,
        revision=field.revision,
        source=frame.pixels,
        field_at=field.captured_at,
    )


def _warm_up() -> None:
    """Compile the loop that puts a field on a picture before one is waited for."""
    picture: Pixels = np.zeros((8, 16, 3), np.uint8)
    cells = np.ones((12, 2, 4), np.float32)
    put_on(picture, EditField(cells, None, picture[..., 0], 0, 0.0, 0))
