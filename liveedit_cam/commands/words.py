"""What people type, as values: an instruction without quotes, a share as per cent. Pure text."""

from __future__ import annotations

from collections.abc import Sequence

from liveedit_cam.errors import UsageError
from liveedit_cam.types import Region


def joined(words: Sequence[str]) -> str:
    """The instruction of one argument, or of several where the quotes were left out."""
    return " ".join(words)


def share_of(text: str) -> float:
    """A share from 0 to 1, also given as per cent ("50%"). Raises UsageError."""
    number = text.strip().removesuffix("%")
    try:
        share = float(number) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        percent = f"{number.strip()}%"
        hint = f"Write {percent} for per cent." if _is_percent(number) else "Such as 0.5 or 50%."
        raise UsageError(f"got {text!r}, expected a share from 0 to 1.", hint=hint)
    return share


def region_of(text: str) -> Region:
    """A region as four shares, "0,0,0.5,1"; whether it lies inside is not asked. UsageError."""
    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(
            f"got {text!r}, expected four shares such as 0,0,0.5,1 for the left half"
        ) from error
    return Region(x, y, width, height)


def _is_percent(number: str) -> bool:
    try:
        return 1 < float(number) <= 100
    except ValueError:
        return False
