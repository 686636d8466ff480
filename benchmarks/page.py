"""What do the page and the commands cost a live picture, and how late are they?

Four questions in one run of the drawn scene at 30 pictures a second: ticks that came late without
and with twenty pages that take a picture and stand still; the delay from capture to a page that
draws at once; how long an OSC message takes to be accepted; and how many pictures a sink is given
after a switch of the mode until it has the new one's. The pages are sockets as the page opens them,
without a browser. The last line is one JSON object.

    python benchmarks/page.py [--seconds 20]
"""

from __future__ import annotations

import argparse
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import websocket
from bench import Figure, live_service, percentile, print_result
from pythonosc.osc_message_builder import OscMessageBuilder

from liveedit_cam.commands.adapter import Adapted
from liveedit_cam.config import Config
from liveedit_cam.control.app import create_app
from liveedit_cam.control.guard import PROTOCOL
from liveedit_cam.control.server import ControlServer, bind
from liveedit_cam.daemon.service import Service
from liveedit_cam.osc import OscSession
from liveedit_cam.presets import PresetBook
from liveedit_cam.types import Frame, Mode

QUESTION = "What do the page and the commands cost a live picture, and how late are they?"
TOKEN = "of-this-benchmark"
NUM_STALLED = 20
NUM_MESSAGES = 100
NUM_SWITCHES = 40


class Outcome:
    """A sink that keeps of each picture whether it is edited."""

    name = "of this benchmark"

    def __init__(self) -> None:
        self.is_edited: list[bool] = []

    def write(self, frame: Frame) -> None:
        """Keep it."""
        self.is_edited.append(frame.field_at is not None)

    def close(self) -> None:
        """Nothing is open."""


def page(port: int, *, draws: bool, stop: threading.Event, delays: list[float]) -> None:
    """One page: asks for both pictures, and says it has drawn them, or never does."""
    tab = websocket.create_connection(
        f"ws://127.0.0.1:{port}/room",
        subprotocols=[PROTOCOL, f"secret.{TOKEN}"],
        origin=f"http://127.0.0.1:{port}",
    )
    tab.settimeout(0.5)
    tab.send(json.dumps({"want": ["edited", "source"], "width": 960}))
    while not stop.is_set():
        if not draws:
            stop.wait(0.5)  # it does not even read
            continue
        try:
            data = tab.recv()
        except websocket.WebSocketTimeoutException:
            continue
        if isinstance(data, bytes):
            (length,) = struct.unpack_from("<I", data)
            head = json.loads(data[4 : 4 + length])
            if head["delay_ms"] is not None:
                delays.append(float(head["delay_ms"]))
            tab.send(json.dumps({"seen": head["number"]}))
    tab.close()


@contextmanager
def pages(port: int, count: int, *, draws: bool, delays: list[float]) -> Iterator[None]:
    """So many pages while the block runs."""
    stop = threading.Event()
    options = {"draws": draws, "stop": stop, "delays": delays}
    threads = [threading.Thread(target=page, args=(port,), kwargs=options) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def late_share(service: Service, seconds: float) -> float:
    """Share of the ticks of that time that were late, 0..1."""
    before = service.controller.status().late_ticks
    service.wait(seconds)
    late = service.controller.status().late_ticks - before
    return late / (seconds * 30.0)


def osc_ms(port: int) -> list[float]:
    """From sending a strength to its answer, in milliseconds."""
    taken = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(5.0)
        for number in range(NUM_MESSAGES):
            builder = OscMessageBuilder("/liveedit/strength")
            builder.add_arg(0.5 + number / (2 * NUM_MESSAGES))
            began = time.monotonic()
            peer.sendto(builder.build().dgram, ("127.0.0.1", port))
            peer.recv(8192)
            taken.append(1000 * (time.monotonic() - began))
            time.sleep(0.02)
    return taken


def mode_ticks(service: Service, sink: Outcome) -> list[int]:
    """Pictures the sink was given until one of the new mode, itself included, for each switch."""
    taken = []
    for number in range(NUM_SWITCHES):
        mode = (Mode.BYPASS, Mode.EDIT, Mode.SLATE, Mode.EDIT)[number % 4]
        before = len(sink.is_edited)
        service.controller.set_mode(mode)
        service.wait(0.3)
        after = sink.is_edited[before:]
        taken.append(after.index(mode is Mode.EDIT) + 1)
    return taken


def main() -> None:
    """Run it and print the table and the line of JSON."""
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each of the three parts")
    wanted = parser.parse_args()
    config = Config(source="pattern", sinks=("null",), prompt="make the background blue")
    sink = Outcome()
    with live_service(config, sink=sink) as (service, _):
        adapted = Adapted(service.controller, "", PresetBook(Path("/nowhere/presets.toml")))
        server = ControlServer(create_app(adapted, TOKEN, lambda: None), bind(0))
        server.start()
        osc = OscSession(0, adapted)
        delays: list[float] = []
        try:
            alone = late_share(service, wanted.seconds)
            with pages(server.port, NUM_STALLED, draws=False, delays=[]):
                stalled = late_share(service, wanted.seconds)
            with pages(server.port, 1, draws=True, delays=delays):
                service.wait(wanted.seconds)
            messages = osc_ms(osc.port)
            ticks = mode_ticks(service, sink)
        finally:
            osc.stop()
            server.stop()
    figures: dict[str, Figure] = {
        "late_percent_alone": 100 * alone,
        f"late_percent_{NUM_STALLED}_stalled_pages": 100 * stalled,
        "page_delay_p95_ms": percentile(delays, 0.95),
        "page_pictures_per_second": len(delays) / wanted.seconds,
        "osc_p95_ms": percentile(messages, 0.95),
        "mode_ticks_p95": percentile(ticks, 0.95),
        "mode_ticks_most": max(ticks),
    }
    print_result(QUESTION, figures)


if __name__ == "__main__":
    main()
