"""One tree of errors; every message says what came, what was expected and what to do now.

LiveEditError                        exit code
├── UsageError                       2   a value the user gave is wrong
│   ├── ConfigError                      configuration file, unknown key
│   ├── InstructionError                 an instruction that cannot be used
│   └── UnknownBackendError              no such source, sink, editor, trigger
├── DeviceError                      3   something outside failed
│   ├── SourceError
│   │   └── SourceEnded                  the normal end of a file
│   └── SinkError
├── ModelError                       4
│   ├── WeightsError                     missing, corrupt, wrong names or shapes
│   ├── EditorError                      an edit raised
│   └── EngineError                      the engine process died or is silent
├── ControlError                     5   the daemon is not there, refuses, or runs already
└── MissingDependencyError           6   an optional package; the hint names the extra
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager


def shown(value: object) -> str:
    """A value as a message shows it: its ``repr``, shortened in the middle to 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:50]}...{text[-27:]}"


def did_you_mean(
    got: object, known: Collection[str], *, cutoff: float = 0.6, quoted: Callable[[str], str] = repr
) -> str:
    """A question with the name most like ``got``; "" where none is. ``cutoff`` as difflib's."""
    import difflib  # here: `edit` is to return at once

    close = difflib.get_close_matches(str(got), known, n=1, cutoff=cutoff)
    return f"Did you mean {quoted(str(close[0]))}?" if close else ""


@contextmanager
def kept(note: Callable[[Exception], None]) -> Iterator[None]:
    """Hand what is raised to ``note``, whatever it is, and go on behind the block.

    For the body of a thread's loop, which must not die unseen, and for foreign code that may raise
    anything; nowhere else. ``note`` shows the error to the user, in the status or the log.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the one place for it
        note(error)


class LiveEditError(Exception):
    """Base of all errors a user may see; ``str()`` is the whole message, ``hint`` the way out."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Keep ``message`` (got, expected) and ``hint`` (what to do now; None = nothing to add)."""
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        if self.hint is None:
            return self.message
        is_sentence = self.message.endswith((".", "!", "?", ":"))
        return f"{self.message}{'' if is_sentence else '.'} {self.hint}"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.hint))


def _rebuild(kind: type[LiveEditError], message: str, hint: str | None) -> LiveEditError:
    return kind(message, hint=hint)


class UsageError(LiveEditError):
    """A value the user gave cannot be used."""

    exit_code = 2


class ConfigError(UsageError):
    """The configuration is not valid."""


class InstructionError(UsageError):
    """The instruction cannot be used."""


class UnknownBackendError(UsageError):
    """No source, sink, editor or trigger of that name."""


class DeviceError(LiveEditError):
    """A camera, screen, file or output device failed."""

    exit_code = 3


class SourceError(DeviceError):
    """A source cannot be opened or stopped delivering."""


class SourceEnded(SourceError):
    """The source has delivered its last frame."""


class SinkError(DeviceError):
    """A sink cannot be opened or written."""


class ModelError(LiveEditError):
    """The model cannot be loaded or run."""

    exit_code = 4


class WeightsError(ModelError):
    """Weight files are missing, corrupt or of another model."""


class EditorError(ModelError):
    """One edit failed."""


class GaveWayError(EditorError):
    """Memory ran out in one edit, and something was given up: the next may well succeed."""


class EngineError(ModelError):
    """The engine process died, hung or could not start."""


class ControlError(LiveEditError):
    """The background program is not there, refuses, or runs already."""

    exit_code = 5


class MissingDependencyError(LiveEditError):
    """An optional package is not installed."""

    exit_code = 6
