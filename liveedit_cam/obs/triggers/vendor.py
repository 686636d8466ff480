"""A message of another plugin of OBS, such as a macro of Advanced Scene Switcher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from liveedit_cam.obs.triggers._matching import Matching
from liveedit_cam.protocols import Field, Rule, Trigger


def describe() -> str:
    """One line of help."""
    return 'vendor  { vendor = "AdvancedSceneSwitcher", message = "night" }'


def create() -> Trigger:
    """Make the trigger."""
    return Matching("VendorEvent", (Field("vendor"), Field("message")), _expected)


def _expected(rule: Rule) -> Mapping[str, Any]:
    return {"vendorName": rule.when["vendor"], "eventData": {"message": rule.when["message"]}}
