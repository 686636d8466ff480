"""Keeps the media sources of OBS that play our picture at the address of this run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from liveedit_cam.obs.errors import ObsRequestRefused
from liveedit_cam.obs.setup import renew_pictures

if TYPE_CHECKING:
    from liveedit_cam.obs.link import ObsLink

TRY_AGAIN_S = 1.0
"""Time between two tries while OBS refuses."""

_log = logging.getLogger(__name__)


class Pictures:
    """Remembers which address OBS has. One thread."""

    def __init__(self) -> None:
        """OBS has none yet."""
        self._renewed: str | None = None
        self._try_at = 0.0
        self.problem: str | None = None
        """Why OBS does not have the address yet, in its own words; None = it has."""

    def forget(self) -> None:
        """What stands in OBS may be anything now."""
        self._renewed = self.problem = None
        self._try_at = 0.0

    def keep(self, link: ObsLink, url: str, now: float) -> None:
        """Give OBS the address of the preview if it is new; refused, it is tried again.

        Raises ObsLost.
        """
        if url == self._renewed or now < self._try_at:
            return
        self._try_at = now + TRY_AGAIN_S
        try:
            names = renew_pictures(link, url)
        except ObsRequestRefused as error:
            self.problem = str(error)
            return
        self._renewed, self.problem = url, None
        for name in names:
            _log.info("The source %r in OBS plays this run's picture now.", name)
