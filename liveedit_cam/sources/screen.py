"""The screen, or a rectangle of it, through mss. The only file that imports it.

Decides which way this desktop can be read: X11, or Wayland, whose user is asked.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import mss
import numpy as np
from mss.exception import ScreenShotError

from liveedit_cam.errors import MissingDependencyError, SourceError
from liveedit_cam.protocols import Source
from liveedit_cam.sources._desktop import MONITOR, Area, Grabber, NoPortalError, Screen, Shared
from liveedit_cam.types import Pixels

MSS: Callable[..., Any] = getattr(mss, "MSS", None) or mss.mss  # a function before 10.2

log = logging.getLogger(__name__)


def describe() -> str:
    """One line of help."""
    return "screen[:monitor:N|X,Y,W,H|window]  a monitor, a rectangle of it, a window (Wayland)"


def create(
    target: str, *, loop: bool, realtime: bool, width: int = 1920, height: int = 1080
) -> Source:
    """Open the screen; it neither ends nor can be read faster. Raises SourceError, UsageError.

    On Wayland the desktop is asked to share it, at most ``width`` x ``height`` pixels large; where
    there is no portal to ask, an X11 display beside it is tried.
    """
    if is_wayland(sys.platform, os.environ):
        return open_on_wayland(target, os.environ, lambda: ask_desktop(target, width, height))
    problem = display_problem(sys.platform, os.environ)
    if problem is not None:
        raise problem
    return Screen(target, MssGrabber)


def ask_desktop(target: str, width: int, height: int) -> Source:
    """What the desktop shares, chosen in its own dialog.

    "window" asks for a window; another target is a part of the screen that is chosen. Raises
    SourceError, and NoPortalError where there is nobody to ask.
    """
    try:
        from liveedit_cam.sources import _portal
    except ImportError as error:
        raise MissingDependencyError(
            f"A Wayland desktop cannot be asked for its screen: {error}.",
            hint="Install it: pip install jeepney",
        ) from error
    from liveedit_cam.sources._cast import open_shared

    def share(kind: str) -> tuple[_portal.Portal, Shared, int]:
        portal = _portal.Portal()
        try:
            shared = portal.share(kind, _portal.token_path(kind, os.environ))
            return portal, shared, portal.open_pipewire()
        except BaseException:
            portal.close()
            raise

    kind = "window" if target == "window" else "monitor"
    part = "" if target == "window" or MONITOR.fullmatch(target) else target
    return open_shared(kind, part, width, height, share)


def open_on_wayland(
    target: str, environment: Mapping[str, str], ask: Callable[[], Source]
) -> Source:
    """What ``ask`` gives; where there is no portal, the X11 display beside Wayland.

    A person's no is an answer, and nothing else is shown then. Raises SourceError.
    """
    try:
        return ask()
    except NoPortalError as no_portal:
        problem = display_problem("linux", environment)
        try:
            if problem is not None:
                raise problem
            return open_beside_wayland(target, environment["DISPLAY"])
        except SourceError as error:
            raise SourceError(error.message, hint=f"{no_portal} Or: {error.hint}") from error


def is_wayland(system: str, environment: Mapping[str, str]) -> bool:
    """Whether the desktop's own windows are Wayland's, with or without an X11 display beside."""
    says_so = environment.get("XDG_SESSION_TYPE") == "wayland"
    return system == "linux" and (says_so or bool(environment.get("WAYLAND_DISPLAY")))


def display_problem(system: str, environment: Mapping[str, str]) -> SourceError | None:
    """Why no picture of the screen can be had here; None where nothing speaks against it."""
    if system != "linux" or environment.get("DISPLAY"):
        return None
    if is_wayland(system, environment):
        return _wayland_error("there is no X11 display beside it")
    return SourceError(
        "There is no display to read: DISPLAY is not set.",
        hint="Start from a desktop session, or set DISPLAY (often DISPLAY=:0).",
    )


def open_beside_wayland(
    target: str, display: str, open_grabber: Callable[[], Grabber] | None = None
) -> Screen:
    """The X11 ``display`` of a Wayland session; its name says that it is that only.

    Raises SourceError where it cannot be read or is one blank colour, as the X11 display that
    Wayland runs for old programs is; UsageError on a ``target`` that cannot be read.
    """
    open_grabber = open_grabber or MssGrabber
    try:
        grabber = open_grabber()
        try:
            picture = grabber.grab(grabber.monitors()[0])
        finally:
            grabber.close()
    except SourceError as error:
        raise _wayland_error(f"the X11 display {display} cannot be read") from error
    if (picture == picture[0, 0]).all():
        raise _wayland_error(f"the X11 display {display} shows one blank colour")
    screen = Screen(target, open_grabber)
    screen.name = f"{screen.name}; X11 display {display}, without the windows of Wayland programs"
    return screen


def _wayland_error(what: str) -> SourceError:
    return SourceError(
        "This desktop session is Wayland, where one program may not read the whole screen, and "
        f"{what}.",
        hint="Choose an X11 (Xorg) session at log-in, or use OBS: capture the screen there and "
        'start its virtual camera, then use --source "camera:OBS Virtual Camera".',
    )


class MssGrabber:
    """mss behind the Grabber seam; its errors become SourceError."""

    def __init__(self, open_mss: Callable[[], Any] = MSS) -> None:
        """Connect to the display. Raises SourceError."""
        try:
            self._mss = open_mss()
        except (ScreenShotError, OSError) as error:
            raise SourceError(
                f"The screen cannot be read: {error}.",
                hint=_depth_hint(error) or "Start from a desktop session of the same user.",
            ) from error

    def monitors(self) -> tuple[Area, ...]:
        try:
            found = self._mss.monitors
        except ScreenShotError as error:
            raise SourceError(f"The monitors cannot be listed: {error}.") from error
        return tuple(Area(m["left"], m["top"], m["width"], m["height"]) for m in found)

    def grab(self, area: Area) -> Pixels:
        box = {"left": area.left, "top": area.top, "width": area.width, "height": area.height}
        try:
            shot = self._mss.grab(box)
        except (ScreenShotError, AssertionError) as error:  # the latter once the display is gone
            raise SourceError(
                f"The screen area {area} cannot be read: {str(error) or 'the display is gone'}.",
                hint=_depth_hint(error)
                or "If monitors were changed, start again; on a Mac allow Screen Recording.",
            ) from error
        bgra = np.frombuffer(shot.bgra, np.uint8).reshape(shot.height, shot.width, 4)
        return np.asarray(cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGB), np.uint8)

    def close(self) -> None:
        try:
            self._mss.close()
        except ScreenShotError as error:  # a display that is gone cannot be left
            log.debug("closing the connection to the display: %s", error)


def _depth_hint(error: Exception) -> str | None:
    """What to do about an X server with 16 or fewer bits per pixel; None = it is not that."""
    if "color depth" not in str(error) and "bits per pixel" not in str(error):
        return None
    return (
        "Run the X server at depth 24: DefaultDepth 24 in xorg.conf, or for a display without a "
        "monitor: Xvfb :99 -screen 0 1280x720x24"
    )
