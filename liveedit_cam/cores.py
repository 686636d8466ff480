"""How the model shares the processor's cores with other programs. Knows no model."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

SPINS = "1000"
"""What libgomp takes once it knows that cores are shared; its usual 300,000 are milliseconds."""


def share_cores(environ: MutableMapping[str, str], num_threads: int) -> None:
    """Use ``num_threads`` threads, and let those that wait for each other sleep soon.

    Changes ``environ`` unless the user chose there already. Call it before torch is loaded:
    libgomp reads it once. Live, one core less than there are: a chunk of nano takes 91 ms on one
    of two free cores and 55 ms on both, but on both, beside the thread that edits every picture, it
    took 180 ms, since at every layer one thread waits for the other, which has lost its core.
    """
    if "OMP_WAIT_POLICY" not in environ:
        environ.setdefault("GOMP_SPINCOUNT", SPINS)
    environ.setdefault("OMP_NUM_THREADS", str(max(1, num_threads)))


NICENESS = 5


def give_way() -> None:
    """Let the threads that feed the sinks go first, on whichever side of a pipe or socket."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)


def usable_cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
