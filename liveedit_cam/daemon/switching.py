"""Another source, output, model or number of steps while the run goes on; tried before it is taken.

A source must give a picture and an output must open before the one in force is let go. A model is
loaded in place of the one before; where it cannot be, that one comes back (``editing``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from liveedit_cam.daemon.capture import Capture
from liveedit_cam.daemon.editing import Editing
from liveedit_cam.daemon.outlet import Outlet
from liveedit_cam.errors import SourceEnded, SourceError, UsageError
from liveedit_cam.protocols import Sink, Source
from liveedit_cam.types import Choice

STEPS = {"auto": None, "1": 1, "2": 2, "4": 4}


class Switchboard:
    """Of one run. Any thread, one call at a time."""

    def __init__(
        self,
        *,
        open_source: Callable[[str], Source],
        open_sink: Callable[[str], Sink],
        capture: Capture,
        outlet: Outlet,
        editing: Editing,
        took_source: Callable[[str], None],
        in_force: Mapping[Choice, str],
    ) -> None:
        """``outlet`` is the first; ``took_source`` hears which source is opened again from now.

        ``in_force`` has the specs of source and output, which may be chosen again to no effect.
        """
        self._open_source = open_source
        self._open_sink = open_sink
        self._capture = capture
        self._outlet = outlet
        self._editing = editing
        self._took_source = took_source
        self._in_force = dict(in_force)

    def choose(self, what: Choice, value: str, *, is_trial: bool) -> str:
        """Try ``value``, and unless ``is_trial`` put it in force; its name for people.

        Raises what opening it raises, SourceError, UsageError.
        """
        if self._in_force.get(what) == value:  # a device that is open cannot be opened twice
            return f"{value}, in use already"
        match what:
            case Choice.SOURCE:
                return self._source(value, is_trial)
            case Choice.SINK:
                return self._sink(value, is_trial)
            case Choice.MODEL:
                if not is_trial:
                    self._editing.wish_model(value)
                return value
            case Choice.STEPS:
                if value not in STEPS:
                    raise UsageError(f"Got {value!r} steps, expected {', '.join(STEPS)}.")
                if not is_trial:
                    self._editing.wish_steps(STEPS[value])
                return value

    def _source(self, spec: str, is_trial: bool) -> str:
        source = self._open_source(spec)
        try:
            source.read()
        except SourceEnded as error:
            source.close()
            raise SourceError(f"{source.name} has no picture.") from error
        except BaseException:
            source.close()
            raise
        if is_trial:
            source.close()
        else:
            self._in_force[Choice.SOURCE] = spec
            self._took_source(spec)
            self._capture.take(source)
        return source.name

    def _sink(self, spec: str, is_trial: bool) -> str:
        sink = self._open_sink(spec)
        if is_trial:
            sink.close()
        else:
            self._in_force[Choice.SINK] = spec
            self._outlet.exchange(sink, partial(self._open_sink, spec))
        return sink.name
