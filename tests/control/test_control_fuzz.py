"""A short run of what ``fuzz.py`` does at full size."""

from __future__ import annotations

import logging

import pytest
from fuzz import fuzz


@pytest.mark.slow
def test_no_request_and_no_bytes_are_a_defect(caplog: pytest.LogCaptureFixture) -> None:
    """Issue 15: a 5xx, a crash, an answer that is no JSON, or a log that strangers can fill."""
    with caplog.at_level(logging.WARNING):
        answers = fuzz(300, 100)
    assert {"200", "202", "422"} <= set(answers), answers  # the strategies reach right ones, too
    assert "Traceback" not in caplog.text
    assert len(caplog.records) <= 5
