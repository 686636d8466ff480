"""The token file: what is wrong in it is named before a model is loaded."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from liveedit_cam.errors import UsageError
from liveedit_cam.service.tokens import Refusal, Token, find_token, read_tokens

GOOD = '[home]\ntoken = "0123456789abcdef"\nsessions = 3\nexpires = 2027-01-01\n'


def test_a_token_is_read_and_found(tmp_path: Path) -> None:
    """Catches a limit or an end that is lost, and a last day on which it opens nothing."""
    file = tmp_path / "tokens.toml"
    file.write_text(GOOD)
    (token,) = tokens = read_tokens(file)
    assert token == Token("home", "0123456789abcdef", 3, date(2027, 1, 1))
    assert "0123456789abcdef" not in repr(token)
    assert find_token(tokens, token.secret, date(2026, 12, 31)) is token
    with pytest.raises(Refusal, match="expired on 2027-01-01"):
        find_token(tokens, token.secret, date(2027, 1, 1))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no token"),
        ("home = 3", "expected a table"),
        ("[home]\ntoken = 'short'", "16 to 200"),
        ("[home]\nsessions = 3", "16 to 200"),
        (GOOD.replace("3", "0", 1).replace("sessions = 3", "sessions = 0"), "sessions = 0"),
        (GOOD.replace("2027-01-01", "'soon'"), "'soon'"),
        (GOOD.replace("sessions", "session"), "expected a table of expires, sessions, token"),
        ("[home", "cannot be read"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    """Catches a file that is half believed."""
    file = tmp_path / "tokens.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=says) as caught:
        read_tokens(file)
    assert "0123456789" not in str(caught.value)
