"""What a run may be given on this computer: sources, outputs, models, steps."""

from __future__ import annotations

import os
from pathlib import Path

from liveedit_cam.types import Choice


def find_choices() -> dict[Choice, list[tuple[str, str]]]:
    """Value and words for people of each; asks the computer, which takes a moment."""
    from liveedit_cam.commands.devices import find_devices
    from liveedit_cam.folders import shipped_models
    from liveedit_cam.store.catalogue import read_catalogue
    from liveedit_cam.store.report import has_files, model_folder

    found = find_devices()
    sources = [
        (device.option.removeprefix("--source "), device.description)
        for device in (*found.cameras, *found.screens)
    ]
    sinks = [("preview", "this page alone")]
    if found.no_pipewire is None:
        sinks.insert(0, ("pipewire", "a camera of PipeWire"))
    if found.no_virtual_camera is None:
        sinks.insert(0, ("virtual-camera", "a camera other programs can select"))
    models = [
        (entry.name, entry.description)
        for entry in read_catalogue(shipped_models())
        if has_files(entry, model_folder(entry))
    ]
    steps = [("auto", "as many as fit"), ("1", "fastest"), ("2", ""), ("4", "finest")]
    return {
        Choice.SOURCE: [*sources, ("pattern", "a drawn scene that moves")],
        Choice.SINK: sinks,
        Choice.MODEL: models,
        Choice.STEPS: steps,
    }


def check_model(name: str) -> None:
    """Say at once what to pull where a model of the catalogue is not here. Raises WeightsError.

    A folder, and nano, are left to the engine: they cost no look at a catalogue.
    """
    if name == "nano" or Path(name).is_dir():
        return
    from liveedit_cam.errors import WeightsError
    from liveedit_cam.folders import shipped_models, user_models
    from liveedit_cam.store.catalogue import find_entry, read_catalogue
    from liveedit_cam.store.needs import this_machine
    from liveedit_cam.store.report import has_files, missing_message, model_folder

    entry = find_entry(name, read_catalogue(shipped_models()))
    if not has_files(entry, model_folder(entry)):
        raise WeightsError(missing_message(name, this_machine(user_models(os.environ))))
