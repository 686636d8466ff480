"""The daemon's service with the painting editor, camera to virtual camera; ends on a signal.

    vm_daemon.py NOTE SINK

Without the control plane: to import it takes half a minute in the machine, and no check needs it.
"""

from __future__ import annotations

import logging
import signal
import sys

SIGNALS = {signal.SIGTERM, signal.SIGINT}


def main(note: str, sink: str) -> None:
    """Run until a signal. Imports here, because the engine process loads this file again."""
    import vm_editor

    from liveedit_cam.config import Config
    from liveedit_cam.daemon.service import Service

    width, height = vm_editor.SIZE
    config = Config(
        source="camera:vivid", sinks=(sink,), model=note, width=width, height=height, fps=15.0
    )
    service = Service(config, editor="vm_editor:create")
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # before threads start, for sigwait
    service.start()
    try:
        signal.sigwait(SIGNALS)
    finally:
        service.stop()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(relativeCreated)d ms %(name)s %(message)s")
    main(*sys.argv[1:])
