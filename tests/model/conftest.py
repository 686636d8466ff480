"""Fixtures of the model tests."""

from __future__ import annotations

import pytest
from tiny_model import tiny_dit

from liveedit_cam.model.dit import CausalDiT


@pytest.fixture(scope="session")
def dit() -> CausalDiT:
    """A tiny DiT in float32 with random weights; nobody changes it."""
    return tiny_dit()
