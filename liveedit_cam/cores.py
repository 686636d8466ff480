"""How the model shares the processor's cores with other programs. Knows no model."""

from __future__ import annotations

from collections.abc import MutableMapping

SPINS = "1000"
"""What libgomp takes once it knows that cores are shared; its usual 300,000 are milliseconds."""


def share_cores(environ: MutableMapping[str, str]) -> None:
    """Let threads that wait for each other sleep soon instead of holding a core.

    Changes ``environ`` unless the user chose there already. Call it before torch is loaded:
    libgomp reads it once. Beside a program that keeps both of two cores busy a chunk of nano took
    0.4 s with it and 12 s without, because the spinning thread kept the awaited one off its core.
    """
    if "OMP_WAIT_POLICY" not in environ:
        environ.setdefault("GOMP_SPINCOUNT", SPINS)
