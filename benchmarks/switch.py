"""How long does a new instruction take to be seen?

The whole daemon runs live on the drawn scene (or --source), and 20 instructions enter one after the
other through its Controller, as the command line and the page enter them. The time runs from
acceptance to the write of the first frame edited by the new instruction. Between two switches the
picture runs on for a while, so that each switch meets a settled stream. After them a fader is moved
by OSC, beside the live picture: the time from a message to its answer. The last line is one JSON
object.

    python benchmarks/switch.py [--source file:clip.mp4] [--model nano]
"""

from __future__ import annotations

import argparse
import socket
import time
from contextlib import closing
from pathlib import Path

from bench import live_service, percentile, print_result
from pythonosc.osc_message_builder import OscMessageBuilder

from liveedit_cam.commands.adapter import Adapted
from liveedit_cam.config import Config
from liveedit_cam.daemon.service import Service
from liveedit_cam.osc import MAX_DATAGRAM_BYTES, PREFIX, OscSession
from liveedit_cam.presets import PresetBook

QUESTION = "How long does a new instruction take to be seen?"
PROMPTS = (
    "make it black and white",
    "make the background blue",
    "golden light",
    "change red to blue",
    "leave it as it is",
)
TIMEOUT_S = 30.0
NUM_MESSAGES = 200


def answered(service: Service) -> list[float]:
    """Seconds until each message of a fader is answered."""
    session = OscSession(0, Adapted(service.controller, "", PresetBook(Path("presets.toml"))))
    delays: list[float] = []
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as console:
        console.connect(("127.0.0.1", session.port))
        console.settimeout(TIMEOUT_S)
        for number in range(NUM_MESSAGES):
            builder = OscMessageBuilder(f"{PREFIX}strength")
            builder.add_arg(number / NUM_MESSAGES)
            began = time.perf_counter()
            console.send(builder.build().dgram)
            console.recv(MAX_DATAGRAM_BYTES)
            delays.append(time.perf_counter() - began)
    session.stop()
    return delays


def main() -> None:
    """Measure and print."""
    wanted = _parse()
    config = Config(
        source=wanted.source, sinks=("null",), model=wanted.model, prompt="make it night"
    )
    seconds: list[float] = []
    with live_service(config) as (service, _):
        service.wait(wanted.warmup)
        for number in range(wanted.switches):
            instruction = service.controller.instruct(PROMPTS[number % len(PROMPTS)])
            seconds.append(service.controller.wait_visible(instruction.revision, TIMEOUT_S))
            service.wait(wanted.settle)
        status = service.controller.status()
        fader = answered(service)
    figures = {
        "source": wanted.source,
        "switches": len(seconds),
        "edit_to_visible_p50_ms": 1000 * percentile(seconds, 0.5),
        "edit_to_visible_p95_ms": 1000 * percentile(seconds, 0.95),
        "edit_to_visible_worst_ms": 1000 * max(seconds),
        "osc_answer_p95_ms": 1000 * percentile(fader, 0.95),
        "glass_to_sink_p50_ms": status.glass_to_sink.p50_ms,
        "chunk_p50_ms": status.chunk_latency.p50_ms,
    }
    print_result(QUESTION, figures)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--source", default="pattern")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--switches", type=int, default=20)
    parser.add_argument("--warmup", type=float, default=10.0, help="seconds before the first")
    parser.add_argument("--settle", type=float, default=1.5, help="seconds between two switches")
    return parser.parse_args()


if __name__ == "__main__":
    main()
