"""How long does a new instruction take to be seen?

The whole daemon runs live on the drawn scene (or --source), and 20 instructions enter one after the
other through its Controller, as the command line and the page enter them. The time runs from
acceptance to the write of the first frame edited by the new instruction. Between two switches the
picture runs on for a while, so that each switch meets a settled stream. The last line is one JSON
object.

    python benchmarks/switch.py [--source file:clip.mp4] [--model nano]
"""

from __future__ import annotations

import argparse

from bench import live_service, percentile, print_result

from liveedit_cam.config import Config

QUESTION = "How long does a new instruction take to be seen?"
PROMPTS = (
    "make it black and white",
    "make the background blue",
    "golden light",
    "change red to blue",
    "leave it as it is",
)
TIMEOUT_S = 30.0


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
    figures = {
        "source": wanted.source,
        "switches": len(seconds),
        "edit_to_visible_p50_ms": 1000 * percentile(seconds, 0.5),
        "edit_to_visible_p95_ms": 1000 * percentile(seconds, 0.95),
        "edit_to_visible_worst_ms": 1000 * max(seconds),
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
