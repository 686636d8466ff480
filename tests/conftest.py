"""What every test shares: one thread for torch; tests of real parts are slow ones."""

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: tiny tensors gain nothing from more

REAL_PARTS = "real"
"""Name of the folders whose tests drive OBS, PipeWire, a service manager or a virtual machine."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test in a folder of real parts."""
    for item in items:
        if item.path.parent.name == REAL_PARTS:
            item.add_marker(pytest.mark.slow)
