"""What does it cost to carry a field to a later frame, instead of editing that very frame?

Nine instructions on the test clips (drawn scenes without --media), edited as live: a chunk every 4
frames, its newest field there --delay frames after that frame and used until the next is there.
Every shown frame is compared with the same frame under its own field (exact mode), and both with
the exact target, where the clip has what the edit is of. Then the same against the age of the
field, 0.1 to 2 s, beside showing the old edited picture instead. Last, a hand that moves before a
wall whose edit is known exactly: how much of the wall it uncovers is seen unedited. --out FOLDER
gets pictures of the worst. The last line is one JSON object.

    python benchmarks/carried.py --media ../shared/media --out runs/carried
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from bench import print_result

from liveedit_cam.compositing import Carrier, put_on
from liveedit_cam.lab.ablations.cases import Case
from liveedit_cam.lab.edits.clips import Clip, load_clips
from liveedit_cam.lab.edits.spec import EditSpec, Family, Scope
from liveedit_cam.lab.edits.wordings import COLOURS
from liveedit_cam.lab.evaluation.pairs import DRAWN_NAME, FIRST_SCENE_SEED, Shelf
from liveedit_cam.model import EditStream, load
from liveedit_cam.model.field import bind, fields_of
from liveedit_cam.types import EditField, ModelFrame

if TYPE_CHECKING:
    from liveedit_cam.types import Pixels

QUESTION = "What does carrying a field cost against editing that very frame?"
EDITS = (
    ("make it night", EditSpec(Family.NIGHT)),
    ("make it black and white", EditSpec(Family.BLACK_AND_WHITE)),
    ("golden light", EditSpec(Family.GOLDEN)),
    ("make the background blue", EditSpec(Family.RECOLOUR, Scope.BACKGROUND, COLOURS["blue"])),
    ("make the background black and white", EditSpec(Family.BLACK_AND_WHITE, Scope.BACKGROUND)),
    ("blur the background", EditSpec(Family.BLUR, Scope.BACKGROUND)),
    ("turn the person gold", EditSpec(Family.RECOLOUR, Scope.SUBJECT, COLOURS["gold"])),
    (
        "change red to blue",
        EditSpec(Family.REPLACE_COLOUR, colour=COLOURS["blue"], from_colour="red"),
    ),
    ("make the left half black and white", EditSpec(Family.BLACK_AND_WHITE, Scope.LEFT)),
)
SHORT_SIDE_PX, MAX_FRAMES = 360, 120
CHUNK = 4
AGES_S = (0.1, 0.2, 0.3, 0.5, 1.0, 2.0)
FPS = 30.0
NUM_WORST = 8


@dataclass(frozen=True, slots=True, eq=False)
class Edited:
    """One case, every frame edited exactly."""

    case: Case
    frames: Pixels
    small: Pixels
    fields: list[EditField]

    def exact(self, index: int) -> Pixels:
        """A frame under its own field."""
        return put_on(self.frames[index], self.fields[index])

    def carried(self, index: int, age: int, carrier: Carrier) -> Pixels:
        """A frame under the field of ``age`` frames before."""
        field = carrier.carry(self.fields[index - age], self.small[index])
        return put_on(self.frames[index], field)


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One shown frame, measured."""

    case: Case
    agree_db: float
    live_db: float
    """Against the exact target; so is ``exact_db``."""
    exact_db: float
    has_target: bool
    """Whether the clip has the subject that the edit is of or around."""
    pictures: Pixels
    """Source, exact and live side by side."""


def main() -> None:
    """Measure and print."""
    wanted = _parse()
    torch.set_num_threads(wanted.threads)
    cv2.setNumThreads(1)
    stream = load(wanted.model, "cpu")
    clips = test_clips(wanted.media)[: wanted.clips]
    if wanted.idea is not None:
        prompt, spec = EDITS[3]
        draw_idea(edit(stream, Case(clips[-1], "", spec, prompt), 40), wanted.idea)
        return
    shown: list[Shown] = []
    by_age: dict[str, list[float]] = defaultdict(list)
    for clip in clips:
        for prompt, spec in EDITS:
            edited = edit(stream, Case(clip, "", spec, prompt), wanted.frames)
            shown += live(edited, wanted.delay)
            for name, decibels in ages(edited):
                by_age[name].append(decibels)
        print(f"{clip.name:<34} {fmean(s.agree_db for s in shown if s.case.clip is clip):.1f} dB")
    per_clip = {c.name: fmean(s.agree_db for s in shown if s.case.clip is c) for c in clips}
    figures = {
        "shown_frames": len(shown),
        "live_against_exact_db": fmean(per_clip.values()),
        "worst_clip_db": min(per_clip.values()),
        "worst_clip": min(per_clip, key=lambda name: per_clip[name]),
        "exact_against_target_db": fmean(s.exact_db for s in shown if s.has_target),
        "live_against_target_db": fmean(s.live_db for s in shown if s.has_target),
        **{name: fmean(values) for name, values in by_age.items()},
        **uncovering(),
    }
    if wanted.out is not None:
        draw_worst(shown, wanted.out)
    print_result(QUESTION, figures)


def test_clips(media: Path | None) -> list[Clip]:
    """All clips of the split test, or drawn scenes without ``media``."""
    if media is not None:
        return load_clips(media, "test", None, SHORT_SIDE_PX, MAX_FRAMES)
    shelf = Shelf(())
    return [shelf.get(f"{DRAWN_NAME}{FIRST_SCENE_SEED + number}") for number in range(3)]


def edit(stream: EditStream, case: Case, num_frames: int) -> Edited:
    """All fields of a case, as exact mode makes them."""
    frames = case.source(0, num_frames)
    size = stream.config.size.of(frames.shape[2], frames.shape[1])
    small = np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in frames])
    conditioning, fields = stream.encode_text(case.prompt), []
    stream.reset()
    for first in range(0, num_frames - CHUNK + 1, CHUNK):
        chunk = [ModelFrame(small[i], i, i / FPS) for i in range(first, first + CHUNK)]
        fields += bind(stream.change(small[first : first + CHUNK], conditioning), chunk, 1)
    return Edited(case, frames, small, fields)


def live(edited: Edited, delay: int) -> Iterator[Shown]:
    """Frames as a viewer would see them, from the second chunk on."""
    carrier = Carrier()
    _, target, _ = edited.case.exact(0, len(edited.fields))
    is_local = edited.case.spec.scope in (Scope.SUBJECT, Scope.BACKGROUND)
    has_target = edited.case.clip.has_subject or not is_local
    for index in range(2 * CHUNK + delay, len(edited.fields), 2):
        newest = (index - delay + 1) // CHUNK * CHUNK - 1
        seen = edited.carried(index, index - newest, carrier)
        exact, wanted = edited.exact(index), (target[index].numpy() * 255).round()
        pictures = np.concatenate((edited.frames[index], exact, seen), axis=1)
        agree_db, live_db, exact_db = (
            psnr(a, b) for a, b in ((seen, exact), (seen, wanted), (exact, wanted))
        )
        yield Shown(edited.case, agree_db, live_db, exact_db, has_target, pictures)


def ages(edited: Edited) -> Iterator[tuple[str, float]]:
    """dB from the frame's own edit by the age of what is shown: its field, or its picture."""
    carrier = Carrier()
    for age_s in AGES_S:
        age = round(age_s * FPS)
        for index in range(CHUNK + age, len(edited.fields), 8):
            exact = edited.exact(index)
            yield f"field_{age_s:g}_s_db", psnr(edited.carried(index, age, carrier), exact)
            yield f"picture_{age_s:g}_s_db", psnr(edited.exact(index - age), exact)


def uncovering() -> dict[str, float]:
    """Share of the wall behind a moving hand that is seen unedited, by the age of the field.

    A textured hand crosses a textured wall at 240 pixels of 1280 a second or three times that; the
    wall is edited blue exactly. Exact mode shows none of it.
    """
    carrier, figures = Carrier(), {}
    for name, speed in (("slow", 48), ("fast", 144)):  # pixels of 256 a second
        for age_s in (0.1, 0.2):
            before, wall_before = _hand(80)
            after, wall_after = _hand(80 + round(speed * age_s))
            blue = before.copy()
            blue[wall_before] = (blue[wall_before] * 0.4 + np.array((20, 50, 150))).astype(np.uint8)
            (field,) = fields_of([ModelFrame(before, 0, 0.0)], blue[None], 1)
            stays = put_on(after, carrier.carry(field, after)).astype(int) - after
            uncovered = wall_after & ~wall_before
            unedited = np.abs(stays).max(axis=2) < 20
            figures[f"unedited_{name}_{age_s:g}_s"] = float(unedited[uncovered].mean())
    return figures


def _hand(x: int) -> tuple[Pixels, np.ndarray]:
    rng = np.random.default_rng(0)

    def texture(height: int, width: int, level: int) -> np.ndarray:
        grid = rng.normal(0, 35, (height // 6 + 2, width // 6 + 2))
        return np.clip(level + cv2.resize(grid, (width, height), interpolation=2), 0, 255)

    picture = np.repeat(texture(144, 256, 150)[..., None], 3, axis=2)
    picture[40:144, x : x + 48] = texture(104, 48, 90)[..., None] * (1.2, 1.0, 0.8)
    wall = np.ones((144, 256), bool)
    wall[40:144, x : x + 48] = False
    return picture.clip(0, 255).round().astype(np.uint8), wall


def draw_worst(shown: list[Shown], out: Path) -> None:
    """The shown frames that differ most, one of each case."""
    worst: dict[tuple[str, str], Shown] = {}
    for one in sorted(shown, key=lambda s: s.agree_db):
        worst.setdefault((one.case.clip.name, one.case.prompt), one)
    rows = []
    for one in list(worst.values())[:NUM_WORST]:
        row = cv2.resize(one.pictures, (1440, 270))
        text = f"{one.case.clip.name}: {one.case.prompt} {one.agree_db:.1f} dB; source, exact, live"
        cv2.putText(row, text, (6, 262), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 1)
        rows.append(row)
    out.mkdir(parents=True, exist_ok=True)
    sheet = cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(out / "worst.png"), sheet)


def draw_idea(edited: Edited, out: Path, index: int = 31, age: int = 7) -> None:
    """One frame's way: what the model saw, its field, what moved since, the frame shown."""
    field, now = edited.fields[index - age], edited.frames[index]
    carried = Carrier().carry(field, edited.small[index])
    grey = np.full_like(now, 96)
    pictures = {
        f"{age} frames ago: the model looks": edited.frames[index - age],
        "its field, put on grey": put_on(grey, field),
        "the field, carried by flow": put_on(grey, carried),
        "now: the camera": now,
        "now: what is shown": put_on(now, carried),
    }
    tiles = []
    for text, picture in pictures.items():
        tile = np.full((210, 328, 3), 255, np.uint8)
        tile[4:184, 4:324] = cv2.resize(picture, (320, 180), interpolation=cv2.INTER_AREA)
        cv2.putText(tile, text, (6, 202), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40), 1, 16)
        tiles.append(tile)
    sheet = cv2.cvtColor(np.concatenate(tiles, axis=1), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(out), sheet, [cv2.IMWRITE_JPEG_QUALITY, 88])


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Peak signal to noise ratio in dB; at most 70."""
    error = np.square(one.astype(np.float32) - other).mean()
    return float(min(70.0, 10 * np.log10(255**2 / max(error, 1e-6))))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--media", type=Path)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--frames", type=int, default=80)
    parser.add_argument("--delay", type=int, default=3, help="frames until a field is there")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--idea", type=Path, help="only draw the picture of docs/live.md there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
