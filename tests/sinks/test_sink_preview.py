"""The preview: what is left to it now that the control page shows the picture."""

from __future__ import annotations

import pytest

from liveedit_cam.errors import UsageError
from liveedit_cam.sinks.preview import create, port_of


@pytest.mark.parametrize(("target", "port"), [("", None), ("0", 0), ("8650", 8650)])
def test_a_port_is_the_pages(target: str, port: int | None) -> None:
    """Catches preview:PORT, which people have in their configuration, that is refused."""
    assert port_of(target) == port
    assert create(target, width=64, height=36, fps=30.0).name.startswith("preview: ")


@pytest.mark.parametrize("target", ["web", "-1", "65536", "127.0.0.1:8643", "٨٦٤٣"])
def test_a_bad_port_is_refused(target: str) -> None:
    """Catches a typing error that silently gives the usual port."""
    with pytest.raises(UsageError, match="from 0 to 65535"):
        create(target, width=64, height=36, fps=30.0)
