"""Training pairs from pictures with pixel labels: a thing is named, and it alone is edited.

A picture becomes a few frames by a camera that moves, turns and zooms a little; the labels move
with it, so masks stay exact. No model here.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch

from liveedit_cam.lab.edits.instructions import Palette, draw_spec, fill, misspell, plain_palette
from liveedit_cam.lab.edits.pictures import (
    LEAST_SHARE,
    STREET,
    LabelledPicture,
    shares_of,
    table_of,
)
from liveedit_cam.lab.edits.regions import OWNERS, PLACES, REGIONS, Region
from liveedit_cam.lab.edits.spec import RGB, EditSpec, Family, Scope
from liveedit_cam.lab.edits.wordings import ADJECTIVES, AFTER, BEFORE, TEMPLATES
from liveedit_cam.lab.training.augment import Picture, estrange
from liveedit_cam.lab.training.collage import SHARE, Collage, with_company
from liveedit_cam.lab.training.data import Pair, PairMaker
from liveedit_cam.lab.training.faces import Faces
from liveedit_cam.lab.training.views import View, exposed, photograph

KIND_SHARES = (
    ("named", 0.36),
    ("two", 0.02),
    ("except", 0.20),
    ("absent", 0.10),
    ("subject", 0.25),
    ("whole", 0.07),
)
"""Kinds of instruction of a picture and their shares."""
FIRST_SHARE = 0.5
"""Share of the pairs that edit the thing their picture was drawn for; the others are by kind."""
LOOK_SHARES: tuple[tuple[Family, float], ...] = (
    (Family.RECOLOUR, 0.76),
    (Family.BLACK_AND_WHITE, 0.06),
    (Family.DARKEN, 0.05),
    (Family.BRIGHTEN, 0.05),
    (Family.INVERT, 0.02),
    (Family.BLUR, 0.02),
    (Family.PIXEL_ART, 0.02),
    (Family.SEPIA, 0.02),
)
"""What is made of a named thing."""
ON_SUBJECT = (
    *("recolour:subject",) * 8,
    *("recolour:background",) * 4,
    *("blur:background",) * 4,
    *("gradient:background",) * 2,
    *("black_and_white:subject", "black_and_white:background") * 2,
    *("darken:background", "brighten:subject", "night:background", "invert:background"),
)
OTHER_LOOKS = (
    *("black_and_white", "sepia", "night", "warm", "cold", "golden", "darken", "brighten"),
    *("identity", "invert", "vintage", "region", "strength", "recolour"),
)
ABSENT = ("dog", "cat", "car", "hat", "glasses", "scarf", "bag", "tie", "umbrella", "horse", "boat",
          "bus", "dress", "cup", "bottle", "couch", "bicycle", "hair", "sky")  # fmt: skip
"""Things asked for where they are not."""
SILVER_WHITE = ("silver white", (0.88, 0.90, 0.93))
PLAIN_SHARE, NUM_PLAIN = 0.6, 3
"""Share of the instructions in one of the so many first wordings, and of the plain colours: where
everything is said in every way at once, little is learnt."""
MISSPELT_SHARE = 0.20
"""Share of the instructions with typos and words that say nothing; the clips' pairs have more."""
PASTED_SHARE = 0.25
"""Share of the street people that stand before a view of a clip."""
COMPANY_SHARE = 0.22
"""Share of the street people that stand beside others."""
COMPANIONS = (1, 1, 1, 2, 3, 4)
"""How many others, drawn from these."""
LEAST_SEEN = 0.003
"""Share of a view that what is named must take; less, and another view is drawn."""


class PictureMaker:
    """Draws pairs from labelled pictures: first what is named, then a picture that shows it."""

    def __init__(
        self,
        pictures: Sequence[LabelledPicture],
        palette: Palette,
        old: PairMaker,
        per_view: int = 1,
    ) -> None:
        """``old`` lends its random numbers and its clips as other places to stand.

        Of one view a batch learns about as much from one instruction as from ``per_view``: more
        than one is for a device that has time to spare.
        """
        self.per_view = per_view
        self.old = old
        self.draws, self.rng = old.draws, old.rng
        self.palette, self.plain = palette, plain_palette()
        self.pictures = list(pictures)
        self.shown = {p.name: self._regions_of(p) for p in self.pictures}
        self.by_region: dict[str, list[LabelledPicture]] = {}
        for picture in self.pictures:
            for region in self.shown[picture.name]:
                self.by_region.setdefault(region.name, []).append(picture)
        self.regions = [region for region in REGIONS if region.name in self.by_region]
        self.collage = Collage(self.pictures, self.by_region)
        self.faces = Faces(self.pictures)

    def beside(self, old: PairMaker) -> PictureMaker:
        """The same pictures, drawn with the random numbers of ``old``."""
        other = copy.copy(self)
        other.old, other.draws, other.rng = old, old.draws, old.rng
        return other

    @staticmethod
    def _regions_of(picture: LabelledPicture) -> list[Region]:
        """What can be named in ``picture``."""
        shares = shares_of(REGIONS, picture)
        shown = [r for r, share in zip(REGIONS, shares, strict=True) if share > LEAST_SHARE]
        names = {region.name for region in shown}
        if {"shirt", "jacket"} <= names:  # "shirt" is then the one below the jacket
            shown = [region for region in shown if region.name != "upper clothes"]
        return shown

    def table(self) -> str:
        """How many pictures show each thing, and how often it is drawn."""
        total = sum(region.weight for region in self.regions)
        lines = [
            f"{region.name:15} {len(self.by_region[region.name]):5} pictures, "
            f"{100 * region.weight / total:4.1f} % of draws"
            for region in self.regions
        ]
        kinds = ", ".join(f"{kind} {share:.0%}" for kind, share in KIND_SHARES)
        looks = ", ".join(f"{family} {share:.0%}" for family, share in LOOK_SHARES)
        sets = Counter(picture.set for picture in self.pictures)
        head = ", ".join(f"{count} of {name}" for name, count in sorted(sets.items()))
        return "\n".join((f"pictures: {head}", *lines, f"kinds: {kinds}", f"looks: {looks}"))

    def pairs(
        self, count: int, num_latents: int, frames_per_latent: int, height_px: int, width_px: int
    ) -> list[Pair]:
        """Draw ``count`` pairs, each view with ``per_view`` instructions."""
        made: list[Pair] = []
        while len(made) < count:
            region, view = self.view(num_latents * frames_per_latent, height_px, width_px)
            made += self.of_view(view, region, self.per_view)
        return made[:count]

    def of_view(self, view: View, region: Region, count: int) -> list[Pair]:
        """``count`` instructions for a view; half of the first ones edit ``region``."""
        known = self.shown.get(view.picture.name)
        known = self._regions_of(view.picture) if known is None else known
        shown = [r for r in known if view.share(r) > LEAST_SEEN]
        is_named = self.rng.random() < FIRST_SHARE
        first = self._named(view, (region,)) if is_named else self._any(view, shown)
        return [first, *(self._any(view, shown) for _ in range(count - 1))]

    def view(self, num_frames: int, height_px: int, width_px: int) -> tuple[Region, View]:
        """Something that can be named, and a view of a picture that shows it."""
        region = self.rng.choices(self.regions, [r.weight for r in self.regions])[0]
        if self.collage.can_show(region) and self.rng.random() < SHARE:
            picture = self.collage.picture(region, self.rng)
        else:
            picture = self.rng.choice(self.by_region[region.name])
        return region, self._view(picture, region, num_frames, height_px, width_px)

    def _any(self, view: View, shown: Sequence[Region]) -> Pair:
        """One more instruction for a view that shows these, of any kind that it can bear."""
        rng, kind = self.rng, self.rng.random()
        name = "named"
        for name, share in KIND_SHARES:  # noqa: B007  # the last one read is the kind
            if kind < share:
                break
            kind -= share
        if name == "absent":
            return self._absent(view)
        if name == "subject" and view.picture.has_background:
            subject = view.person()
            if 0.015 < float(subject.mean()) < 0.9:
                return self._plain(view, subject, ON_SUBJECT)
        if name == "whole" or not shown:
            return self._plain(view, view.person(), OTHER_LOOKS)
        first = rng.choices(shown, [r.weight for r in shown])[0]
        others = [r for r in shown if not r.group or r.group != first.group]
        others = [r for r in others if r is not first]
        if name == "two" and others:
            return self._named(view, (first, rng.choice(others)))
        return self._named(view, (first,), is_except=name == "except")

    def _plain(self, view: View, subject: Picture, kinds: Sequence[str]) -> Pair:
        """An instruction that names nothing: of subject, background or the whole picture."""
        spec, prompt = draw_spec(self.rng, self.palette, kinds)
        return self._pair(view, subject, spec, prompt)

    def _named(self, view: View, regions: Sequence[Region], *, is_except: bool = False) -> Pair:
        mask = view.mask(*regions)
        called = [self._called(region) for region in regions]
        target = " and ".join(name for name, _ in called)
        bare = " and ".join(name for _, name in called)
        spec, prompt = self._edit(target, bare, "except" if is_except else "named")
        spec = replace(spec, region=("all but " if is_except else "") + regions[0].name)
        return self._pair(view, 1 - mask if is_except else mask, spec, prompt)

    def _absent(self, view: View) -> Pair:
        """Something that is not in the picture: nothing changes."""
        labels = set(np.unique(view.picture.labels).tolist())
        fine = view.picture.fine
        worn = set() if fine is None else set(np.unique(fine).tolist())
        missing = []
        for region in REGIONS:
            table = table_of(region, view.picture)
            is_there = any(table[0][i] for i in labels) or any(table[1][i] for i in worn)
            if region.name in ABSENT and not is_there and (region.labels or fine is not None):
                missing.append(region)
        if view.picture.set == STREET:  # what else stands in the street has no label
            missing = [r for r in missing if r.name not in ("car", "bus", "bicycle", "sky")]
        region = self.rng.choice(missing)
        name, bare = self._called(region)
        spec, prompt = self._edit(name, bare, "named")
        return self._pair(view, view.mask(region), replace(spec, region=region.name), prompt)

    def _called(self, region: Region) -> tuple[str, str]:
        """What the region is called, with and without what stands before it."""
        word = self.rng.choice(region.words)
        before = self.rng.choice(OWNERS if region.is_own else PLACES)
        return f"{before} {word}".strip(), word

    def _edit(self, target: str, bare: str, scope: str) -> tuple[EditSpec, str]:
        rng = self.rng
        families, shares = zip(*LOOK_SHARES, strict=True)
        family = rng.choices(families, shares)[0]
        values = {"target": target, "bare": bare}
        if family is Family.RECOLOUR:
            name, colour = SILVER_WHITE if rng.random() < 0.02 else self._colour()
            values["colour"] = name
            spec, kind = EditSpec(family, Scope.NAMED, colour), "recolour"
        else:
            values["adjective"] = rng.choice(ADJECTIVES[family])
            spec, kind = EditSpec(family, Scope.NAMED), "look"
        templates = TEMPLATES[f"{kind}:{scope}"]
        if rng.random() < PLAIN_SHARE:
            templates = templates[:NUM_PLAIN]
        prompt = fill(rng.choice(templates), values, rng)
        return spec, rng.choice(BEFORE) + prompt + rng.choice(AFTER)

    def _colour(self) -> tuple[str, RGB]:
        """A colour and its name, mostly a plain one."""
        is_plain = self.rng.random() < PLAIN_SHARE
        return (self.plain if is_plain else self.palette).draw(self.rng)

    def _pair(self, view: View, mask: Picture, spec: EditSpec, prompt: str) -> Pair:
        if self.rng.random() < MISSPELT_SHARE:
            prompt = misspell(prompt, self.rng)
        return Pair(
            view.num_frames,
            torch.from_numpy(view.frames),
            torch.from_numpy(mask),
            True,
            prompt,
            spec,
            torch.from_numpy(view.known()),
            torch.from_numpy(view.parts()),
        )

    def _view(
        self, picture: LabelledPicture, region: Region, count: int, height: int, width: int
    ) -> View:
        """A random view; drawn again where ``region`` is hardly seen."""
        rng, faces = self.rng, self.faces
        picture = faces.sharpened(picture, rng)
        if picture.set == STREET and rng.random() < COMPANY_SHARE:
            street = rng.choices(self.collage.street, k=rng.choice(COMPANIONS))
            picture = with_company(picture, [faces.sharpened(other, rng) for other in street], rng)
        for _ in range(4):
            view = photograph(picture, region, count, (height, width), self.rng)
            if view.share(region) > LEAST_SEEN:
                break
        frames = view.frames
        if picture.set == STREET and region.is_own and self.rng.random() < PASTED_SHARE:
            frames = self._elsewhere(view)
        return replace(view, frames=exposed(frames, view.num_frames, self.rng))

    def _elsewhere(self, view: View) -> Picture:
        """The person before a view of a clip that shows little of its own subject."""
        _, height, width, _ = view.frames.shape
        count, person = view.num_frames, view.person()
        for _ in range(3):
            clip = self.rng.choice(self.old.clips)
            behind, other = self.old.view(clip, np.arange(count), (height, width))
            if float(other.mean()) < 0.12:
                soft = np.stack([cv2.GaussianBlur(row, (0, 0), 0.6) for row in person])[..., None]
                behind = estrange(behind, self.rng)
                return np.asarray(soft * view.frames + (1 - soft) * behind, np.float32)
        return view.frames


class MixedMaker:
    """Clips and pictures in one batch: what was learnt is not forgotten over what is new."""

    def __init__(self, old: PairMaker, new: PictureMaker, new_share: float) -> None:
        """``new_share`` of the pairs, 0..1, are of pictures."""
        self.old, self.new, self.new_share = old, new, new_share
        self.draws, self.rng = old.draws, old.rng

    def pairs(
        self, count: int, num_latents: int, frames_per_latent: int, height_px: int, width_px: int
    ) -> list[Pair]:
        """Draw ``count`` pairs, those of clips first."""
        new = round(count * self.new_share)
        size = (num_latents, frames_per_latent, height_px, width_px)
        return self.old.pairs(count - new, *size) + self.new.pairs(new, *size)
