"""Who reads: openings told by the kernel, links by what PipeWire says."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from liveedit_cam.sinks._pipewire_links import Links

if sys.platform == "linux":
    from liveedit_cam.sinks._openings import Openings

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


class Device:
    """A file that others open; ``look`` sees those in ``seen`` and counts how often it is asked."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "video9"
        self.path.touch()
        self.seen: list[int] = []
        self.num_looks = 0
        self.openings = Openings(str(self.path), self.look)

    def look(self) -> bool:
        self.num_looks += 1
        return bool(self.seen)

    def open(self, *, is_seen: bool = True) -> int:
        descriptor = os.open(self.path, os.O_RDWR)
        if is_seen:
            self.seen.append(descriptor)
        return descriptor

    def close(self, descriptor: int) -> None:
        os.close(descriptor)
        if descriptor in self.seen:
            self.seen.remove(descriptor)


@linux_only
def test_readers_that_come_and_go(tmp_path: Path) -> None:
    """Catches two that open at once, which the kernel tells as one, and a first one that leaves."""
    device = Device(tmp_path)
    assert not device.openings.is_open()
    first, second = device.open(), device.open()
    assert device.openings.is_open()
    device.close(first)
    assert device.openings.is_open()
    device.close(second)
    assert not device.openings.is_open()
    device.openings.close()
    device.openings.close()
    assert not device.openings.is_open()


@linux_only
def test_a_reader_of_another_user_counts_until_it_leaves(tmp_path: Path) -> None:
    """Catches a card shown to a program whose files we may not list."""
    device = Device(tmp_path)
    unseen = device.open(is_seen=False)
    assert device.openings.is_open()
    assert device.openings.is_open()
    device.close(unseen)
    assert not device.openings.is_open()


@linux_only
def test_to_wait_costs_no_look_and_a_storm_one(tmp_path: Path) -> None:
    """Catches all programs of a desktop listed four times a second, for nothing."""
    device = Device(tmp_path)
    for _ in range(100):
        device.openings.is_open()
    assert device.num_looks == 1
    for _ in range(5000):
        os.close(os.open(device.path, os.O_RDONLY))
    assert not device.openings.is_open()
    assert device.num_looks == 2


@linux_only
def test_a_missing_device_is_an_error(tmp_path: Path) -> None:
    """Catches a watch of nothing, which never sees a reader."""
    with pytest.raises(FileNotFoundError):
        Openings(str(tmp_path / "none"), lambda: False)


def node(number: int, name: str) -> dict[str, object]:
    kind = "PipeWire:Interface:Node"
    return {"id": number, "type": kind, "info": {"props": {"node.name": name}}}


def link(number: int, source: int) -> dict[str, object]:
    info = {"output-node-id": source, "input-node-id": 99}
    return {"id": number, "type": "PipeWire:Interface:Link", "info": info}


def fed(links: Links, *objects: dict[str, object]) -> Links:
    for line in json.dumps(objects, indent=2).splitlines(keepends=True):
        links.feed(line)
    return links


def test_links_are_counted_by_the_node_they_leave() -> None:
    """Catches links of other cameras, and of a node whose number was given away again."""
    links = fed(Links(), node(40, "ours"), node(41, "other"), link(50, 40), link(51, 41))
    assert links.num_readers("ours") == 1
    fed(links, link(52, 40))
    assert links.num_readers("ours") == 2
    fed(links, {"id": 50, "info": None}, {"id": 52, "info": None})
    assert links.num_readers("ours") == 0
    fed(links, {"id": 40, "info": None}, node(40, "microphone"), link(53, 40))
    assert links.num_readers("ours") == 0


def test_a_list_that_is_cut_short_is_passed_over() -> None:
    """Catches a traceback in the thread that watches PipeWire."""
    links = Links()
    links.feed('[ { "id": 1, \n')
    links.feed("]\n")
    assert fed(links, node(40, "ours"), link(50, 40)).num_readers("ours") == 1
