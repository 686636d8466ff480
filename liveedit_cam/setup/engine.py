"""Checks of what edits: the model's files, its device and pace, memory. Never a silent CPU."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from liveedit_cam import registry
from liveedit_cam.config import Config
from liveedit_cam.errors import LiveEditError
from liveedit_cam.folders import shipped_models
from liveedit_cam.protocols import Editor
from liveedit_cam.setup.computer import Computer
from liveedit_cam.setup.findings import Finding, Fix, fail, ok, warn
from liveedit_cam.types import EditInstruction, ModelFrame, Pixels

WEIGHTS, DEVICE, SPEED, MEMORY = "weights", "device", "speed", "memory"
_VENDORS = {"0x10de": "NVIDIA", "0x1002": "AMD"}
_WATCH_S = 2.0
"""How long the editor is watched once it is warm."""
_NEEDS_BYTES = 1.5e9
"""What daemon and engine of nano take together, with room for the programs that read."""
_GB = 1e9


def weights(computer: Computer) -> Iterator[Finding]:
    """Whether the files of the configured model are there and as they were published."""
    from liveedit_cam.store import care, report
    from liveedit_cam.store.catalogue import find_entry, read_catalogue

    name = computer.config.model
    kind, _ = registry.parse_spec(computer.config.editor)
    if kind not in ("diffusion", "remote") or Path(name).is_dir():
        yield ok(WEIGHTS, f"{name}: yours, no checksums are known")
        return
    try:
        entry = find_entry(name, read_catalogue(shipped_models()))
    except LiveEditError as error:
        yield fail(WEIGHTS, str(error).rstrip("."), Fix("liveedit-cam models list", False))
        return
    folder = report.model_folder(entry)
    if not report.has_files(entry, folder):
        pull = f"liveedit-cam models pull {name} --yes"
        again = "pip install --force-reinstall --no-deps liveedit-cam"
        yield fail(WEIGHTS, f"{name} is not here", Fix(again if entry.is_shipped else pull))
        return
    if entry.is_shipped:
        yield ok(WEIGHTS, f"{name}: shipped, {_megabytes(care.folder_bytes(folder))}")
        return
    damages = care.verify(entry, folder, lambda *_: None) if computer.is_new_run else ()
    if damages:
        names = ", ".join(damage.name for damage in damages)
        repair = Fix(f"liveedit-cam models pull {name} --repair --yes")
        yield fail(WEIGHTS, f"{name}: damaged: {names}", repair)
        return
    yield ok(WEIGHTS, f"{name}: {_megabytes(care.folder_bytes(folder))}, checksums right")


def engine(computer: Computer) -> Iterator[Finding]:
    """On what the model runs, and how many edits a second that gives."""
    if computer.daemon is not None:
        status = computer.daemon
        pace = f"{status.fields_per_second:.1f} edits a second, as it runs now"
        yield _device(computer, status.device or computer.config.device)
        yield ok(SPEED, pace)
        return
    if not computer.is_new_run:
        return
    config = computer.config
    try:
        made = registry.open_editor(config.editor, config.editor_options)
    except LiveEditError as error:
        cpu = Fix("liveedit-cam run --device cpu", is_certain=False)
        yield fail(DEVICE, str(error).rstrip("."), cpu)
        return
    try:
        seconds = _pace(made, config)
        yield _device(computer, made.report().device)
    finally:
        made.close()
    yield _speed(computer, 1 / seconds)


def _speed(computer: Computer, per_second: float) -> Finding:
    age_ms = computer.config.max_field_age_ms
    text = f"{per_second:.1f} edits a second, each carried along on every picture"
    if age_ms is not None and 1000 / per_second > age_ms:
        one = Fix("liveedit-cam run --steps 1", is_certain=False)
        return warn(SPEED, f"{text}; an edit gets older than {age_ms:g} ms", one)
    return ok(SPEED, text)


def _pace(editor: Editor, config: Config) -> float:
    """Median seconds of one chunk of noise, after the first."""
    conditioning = editor.encode(EditInstruction("make it night", revision=1))
    random = np.random.default_rng(0)
    seconds: list[float] = []
    until = time.monotonic() + _WATCH_S
    while len(seconds) < 3 or time.monotonic() < until:
        width, height = editor.size.of(config.width, config.height)
        frames = [
            ModelFrame(noise(random, width, height), index, 0.0)
            for index in range(editor.chunk_frames)
        ]
        began = time.monotonic()
        editor.edit(frames, conditioning, every_frame=False)
        seconds.append(time.monotonic() - began)
    return statistics.median(seconds[1:])


def noise(random: np.random.Generator, width: int, height: int) -> Pixels:
    """A picture in which every pixel changes: uint8 (height, width, 3)."""
    values = random.bytes(width * height * 3)
    return np.frombuffer(values, np.uint8).reshape(height, width, 3)


def _device(computer: Computer, device: str) -> Finding:
    """The device that was taken; a graphics card that lies idle is told with the way to use it."""
    cards = tuple(graphics_cards(computer))
    torch = _torch_version()
    if not device.startswith("cpu"):
        return ok(DEVICE, f"{device}, torch {torch}")
    if computer.config.device == "cpu" or not cards:
        return ok(DEVICE, f"the processor, {os.cpu_count()} cores, torch {torch}")
    text = f"the processor, though there is a card of {' and '.join(cards)}: "
    if "NVIDIA" in cards and not (computer.root / "proc/driver/nvidia").exists():
        text += "its driver is not loaded"
        drivers = {"ubuntu": "sudo ubuntu-drivers install", "debian": "nvidia-driver"}
        is_ubuntu = "ID=ubuntu" in computer.read("etc/os-release").splitlines()
        name = drivers["ubuntu" if is_ubuntu else "debian"]
        command = name if is_ubuntu else f"sudo apt-get install {name}"
        return warn(DEVICE, text, Fix(command, is_certain=False, after="restart"))
    text += f"torch {torch} was built without it"
    return warn(DEVICE, text, Fix("pip install --force-reinstall torch", is_certain=False))


def graphics_cards(computer: Computer) -> Iterator[str]:
    """Makers of the cards that could edit, each once, from the PCI bus."""
    found = set()
    for device in sorted((computer.root / "sys/bus/pci/devices").glob("*")):
        folder = device.relative_to(computer.root).as_posix()
        vendor = _VENDORS.get(computer.read(f"{folder}/vendor"))
        is_display = computer.read(f"{folder}/class").startswith("0x03")
        if vendor and is_display and vendor not in found:
            found.add(vendor)
            yield vendor


def memory(computer: Computer) -> Iterator[Finding]:
    """What is free for daemon and engine."""
    text = computer.read("proc/meminfo")
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    available = fields.get("MemAvailable", "").split()
    if not available:
        return
    free = int(available[0]) * 1024
    told = f"{free / _GB:.1f} GB free"
    if free < _NEEDS_BYTES and computer.daemon is None:
        look = Fix("ps -eo rss,comm --sort=-rss | head", is_certain=False)
        yield warn(MEMORY, f"{told}, {_NEEDS_BYTES / _GB:.1f} GB are wanted: close programs", look)
    else:
        yield ok(MEMORY, told)


def _torch_version() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return "of no package"


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.0f} MB"
