"""Which scene is on the air, as far as OBS can be believed. Knows no rule.

OBS names a scene that is not on the air for about 2 ms when Studio Mode is left: the one that was
in the preview. A rule that shows the raw camera there must not act on it. So a name counts at once
only where a transition has started; any other must be the same a moment later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liveedit_cam.obs import lookup

if TYPE_CHECKING:
    from liveedit_cam.obs.link import ObsLink

NUM_LOOKS = 3
"""Times the new scene is asked for at once: for about a millisecond after its transition has
started, OBS may still name the old one."""
LOOK_AGAIN_S = 1.0
"""For how long it is asked for at every tick after that."""
CONFIRM_S = 0.09
"""Shortest time between two looks that believe a name; a little less than a tick, so that the
next one may do."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A scene that OBS named once."""

    scene: str
    seen_at: float
    """On the clock of ``ProgramScene``."""


class ProgramScene:
    """Remembers the program scene and tells when it is another. One thread.

    What asks OBS raises ObsLost where the link is dead.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """No scene is known; ``now`` in seconds, monotonic."""
        self._now = now
        self._scene: str | None = None
        self._candidate: _Candidate | None = None
        self._look_until = 0.0

    def forget(self) -> None:
        """Nothing is known any more."""
        self._scene = self._candidate = None
        self._look_until = 0.0

    def renamed(self, old: object, new: str) -> None:
        """The scene on the air may have another name now."""
        if self._scene is not None and self._scene == old:
            self._scene = new

    def transition_started(self, link: ObsLink) -> str | None:
        """The scene that becomes the program; None = not named yet, or the same as before."""
        self._look_until = self._now() + LOOK_AGAIN_S
        for _ in range(NUM_LOOKS):
            scene = lookup.program_scene(link)
            if scene is not None and scene != self._scene:
                return self._accept(scene)
        return None

    def changed(self, link: ObsLink) -> None:
        """OBS says, without a transition, that it is another; ``tick`` tells whether it is."""
        self._candidate = None  # what was seen before this does not count
        self._look(link)

    def begin(self, link: ObsLink) -> None:
        """All scenes may be new; ``tick`` tells which one is the program."""
        self._look_until = self._now() + LOOK_AGAIN_S
        self.changed(link)

    def tick(self, link: ObsLink) -> str | None:
        """The new program scene, once; None = no other, or not sure yet."""
        if self._candidate is None and self._now() >= self._look_until:
            return None
        return self._look(link)

    def _look(self, link: ObsLink) -> str | None:
        scene, now = lookup.program_scene(link), self._now()
        if scene is None:
            return None
        if scene == self._scene:
            self._candidate = None
        elif self._candidate is None or self._candidate.scene != scene:
            self._candidate = _Candidate(scene, now)
        elif now - self._candidate.seen_at >= CONFIRM_S:
            return self._accept(scene)
        return None

    def _accept(self, scene: str) -> str:
        self._scene, self._candidate, self._look_until = scene, None, 0.0
        return scene
