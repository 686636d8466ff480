"""The screen, or a rectangle of it, through mss. The only file that imports it.

Knows monitors as rectangles on one desktop; does not know what windows are on them.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import mss
import numpy as np
from mss.exception import ScreenShotError

from liveedit_cam.errors import MissingDependencyError, SourceEnded, SourceError, UsageError
from liveedit_cam.pacing import Now, Pacer, Sleep
from liveedit_cam.protocols import Source
from liveedit_cam.types import Frame, Pixels

MSS: Callable[..., Any] = (
    mss.MSS if hasattr(mss, "MSS") else mss.mss
)  # before 10.2 it was made by a function

log = logging.getLogger(__name__)

FPS = 30.0

_RECTANGLE = re.compile(r"(-?\d+),(-?\d+),(\d+),(\d+)")
_MONITOR = re.compile(r"monitor:(\d+)")


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of the desktop, in the desktop's own units (pixels, or points on a Mac)."""

    left: int
    top: int
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height} at {self.left},{self.top}"

    def holds(self, other: Area) -> bool:
        """Whether ``other`` lies wholly inside."""
        return (
            self.left <= other.left
            and self.top <= other.top
            and other.left + other.width <= self.left + self.width
            and other.top + other.height <= self.top + self.height
        )


class NoPortalError(SourceError):
    """There is no portal that could share a screen here; another way may be tried."""


class Grabber(Protocol):
    """Takes pictures of the desktop; made and used by one thread."""

    def monitors(self) -> tuple[Area, ...]:
        """The whole desktop first, then each monitor."""

    def grab(self, area: Area) -> Pixels:
        """uint8 (H, W, 3) RGB. Raises SourceError."""

    def close(self) -> None: ...


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
    return Screen(target)


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
    from liveedit_cam.sources._cast import Session, open_shared

    def share(kind: str) -> tuple[Session, _portal.Shared, int]:
        portal = _portal.Portal()
        try:
            shared = portal.share(kind, _portal.token_path(kind, os.environ))
            return portal, shared, portal.open_pipewire()
        except BaseException:
            portal.close()
            raise

    kind = "window" if target == "window" else "monitor"
    part = "" if target == "window" or _MONITOR.fullmatch(target) else target
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
    screen = Screen(target, open_grabber=open_grabber)
    screen.name = f"{screen.name}; X11 display {display}, without the windows of Wayland programs"
    return screen


def _wayland_error(what: str) -> SourceError:
    return SourceError(
        "This desktop session is Wayland, where one program may not read the whole screen, and "
        f"{what}.",
        hint="Choose an X11 (Xorg) session at log-in, or use OBS: capture the screen there and "
        'start its virtual camera, then use --source "camera:OBS Virtual Camera".',
    )


def choose_area(target: str, monitors: Sequence[Area]) -> Area:
    """The rectangle a user meant: "" first monitor, "monitor:N", or "X,Y,W,H".

    ``monitors`` begins with the whole desktop. Raises UsageError where the target cannot be read
    and SourceError where it is not on the screen.
    """
    listed = "; ".join(f"monitor:{i} {area}" for i, area in enumerate(monitors) if i > 0)
    if monitor := _MONITOR.fullmatch(target or "monitor:1"):
        number = int(monitor[1])
        if 1 <= number < len(monitors):
            return monitors[number]
        raise SourceError(f"There is no monitor {number}.", hint=f"There are: {listed or 'none'}.")
    rectangle = _RECTANGLE.fullmatch(target.replace(" ", ""))
    if rectangle is None:
        raise UsageError(
            f"Got the screen target {target!r}, expected X,Y,W,H or monitor:N.",
            hint="Such as screen:0,0,1280,720 or screen:monitor:1.",
        )
    area = Area(*(int(number) for number in rectangle.groups()))
    if area.width < 16 or area.height < 16 or not monitors[0].holds(area):
        raise SourceError(
            f"The rectangle {area} is not on the screen, or smaller than 16x16.",
            hint=f"The desktop is {monitors[0]}; {listed}.",
        )
    return area


class Screen:
    """A rectangle of the desktop as a Source, 30 times a second."""

    def __init__(
        self,
        target: str,
        *,
        open_grabber: Callable[[], Grabber] | None = None,
        now: Now = time.monotonic,
        sleep: Sleep | None = None,
    ) -> None:
        """Check ``target`` and take one picture for its size. Raises SourceError, UsageError."""
        self._open_grabber = open_grabber or MssGrabber
        grabber = self._open_grabber()
        try:
            self._area = choose_area(target, grabber.monitors())
            self.height, self.width = grabber.grab(self._area).shape[:2]
        finally:
            grabber.close()
        self.fps = FPS
        self.name = f"screen:{target or 'monitor:1'} ({self._area})"
        self._now = now
        self._closed = threading.Event()
        self._pacer = Pacer(FPS, now=now, sleep=sleep or self._closed.wait)
        self._lock = threading.Lock()  # guards the grabber
        self._grabber: Grabber | None = None  # made by the reading thread, see Grabber
        self._index = 0

    def read(self) -> Frame:
        """Wait for the next due time and take a picture."""
        self._pacer.wait()
        with self._lock:
            if self._closed.is_set():
                raise SourceEnded(f"{self.name} was closed.")
            if self._grabber is None:
                self._grabber = self._open_grabber()
            captured_at = self._now()
            pixels = self._grabber.grab(self._area)
        index, self._index = self._index, self._index + 1
        return Frame(pixels=pixels, index=index, captured_at=captured_at)

    def close(self) -> None:
        """End a waiting ``read`` and free the connection to the display."""
        self._closed.set()
        with self._lock:
            grabber, self._grabber = self._grabber, None
        if grabber is not None:
            grabber.close()


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
