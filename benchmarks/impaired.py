"""A link as bad as one likes: a TCP proxy on this computer that delays, loses, limits and cuts.

TCP hides a loss: what was lost comes a round trip later, or after 200 ms where nothing came behind
it that would have shown the gap (the smallest retransmission time-out of Linux), and all that
follows waits for it. So a loss is a delay here, of a block and of what comes after it.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

SEGMENT_BYTES = 1448
LEAST_TIMEOUT_S = 0.2
BLOCK_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Impairment:
    """One direction's share of it; the same both ways."""

    delay_s: float = 0.0
    jitter_s: float = 0.0
    """The delay is drawn evenly from ``delay_s`` plus or minus this."""
    loss: float = 0.0
    """Share of segments that are lost."""
    rate_bps: float = float("inf")


@dataclass(slots=True)
class Proxy:
    """Counts what passes."""

    port: int = 0
    is_whole: asyncio.Event = field(default_factory=asyncio.Event)
    num_bytes: dict[str, int] = field(default_factory=lambda: {"up": 0, "down": 0})
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def cut(self) -> None:
        """Let nothing pass and say nothing, as a pulled cable does."""
        self.loop.call_soon_threadsafe(self.is_whole.clear)

    def mend(self) -> None:
        """Let all pass again, what waited first."""
        self.loop.call_soon_threadsafe(self.is_whole.set)


@contextmanager
def impaired(to_port: int, how: Impairment, seed: int = 0) -> Iterator[Proxy]:
    """A proxy to a port of this computer, in a thread of its own."""
    proxy, is_up = Proxy(), threading.Event()
    loop = proxy.loop
    chance = random.Random(seed)
    ways: list[asyncio.Task[None]] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", to_port)
        except OSError:  # nobody listens: so nobody does here
            writer.close()
            return
        for name, source, sink in (("up", reader, back), ("down", there, writer)):
            ways.append(loop.create_task(_pass_on(name, source, sink, proxy, how, chance)))

    async def begin() -> None:
        proxy.is_whole.set()
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        is_up.set()

    def run() -> None:
        loop.run_until_complete(begin())
        loop.run_forever()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.gather(*ways, return_exceptions=True))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    is_up.wait()
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _pass_on(
    name: str,
    source: asyncio.StreamReader,
    sink: asyncio.StreamWriter,
    proxy: Proxy,
    how: Impairment,
    chance: random.Random,
) -> None:
    """One direction of one connection, in order."""
    queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    now = asyncio.get_running_loop().time

    async def deliver() -> None:
        while True:
            due, data = await queue.get()
            await asyncio.sleep(max(0.0, due - now()))
            await proxy.is_whole.wait()
            sink.write(data)
            if not data:
                sink.close()
                return

    task = asyncio.create_task(deliver())
    sent_at = arrived_at = 0.0
    try:
        while data := await source.read(BLOCK_BYTES):
            proxy.num_bytes[name] += len(data)
            sent_at = max(sent_at, now()) + 8 * len(data) / how.rate_bps
            due = sent_at + how.delay_s + how.jitter_s * chance.uniform(-1, 1)
            segments = -(-len(data) // SEGMENT_BYTES)
            lost = [number for number in range(segments) if chance.random() < how.loss]
            if lost:
                is_last = lost[-1] == segments - 1
                due += max(2 * how.delay_s, LEAST_TIMEOUT_S if is_last else 0.0)
            arrived_at = max(arrived_at, due)
            queue.put_nowait((arrived_at, data))
    except OSError:
        pass  # the other side is gone: so is this one
    queue.put_nowait((now(), b""))
    await task
