"""The errors as a user reads them."""

from __future__ import annotations

import pickle

import pytest

from liveedit_cam.errors import SourceError, shown


@pytest.mark.parametrize("message", ["There is no camera.", "There is no camera"])
def test_message_and_hint_are_two_sentences(message: str) -> None:
    """Catches a hint that runs on from a message without a full stop."""
    assert str(SourceError(message, hint="Plug one in.")) == "There is no camera. Plug one in."
    assert str(SourceError(message)) == message


def test_an_error_crosses_the_process_border_whole() -> None:
    """Catches a hint lost by pickling: the engine sends its errors to the daemon."""
    sent = SourceError("Gone.", hint="Plug it in.")
    received = pickle.loads(pickle.dumps(sent))
    assert isinstance(received, SourceError)
    assert (received.message, received.hint) == ("Gone.", "Plug it in.")


def test_a_long_value_does_not_flood_a_message() -> None:
    """Catches ten thousand characters on the terminal, and a short value that is cut."""
    assert shown("x" * 78) == repr("x" * 78)
    assert len(shown("x" * 10_000)) == 80
