"""Lets these tests, and the engine processes they start, find the engine tests' editors."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "engine"))
