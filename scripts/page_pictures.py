"""Takes docs/page.jpg and docs/page-dock.jpg anew: the real page over a real run of a clip.

Each look is in force for some seconds, so that its tile has its own picture. Wants Chromium, and a
machine with nothing else to do: the pictures show how old the edit is.

    PYTHONPATH=.:tests/control python scripts/page_pictures.py CLIP.mp4 [--out docs] [--width 1280]
"""

from __future__ import annotations

import argparse
import base64
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from browser import Browser, Tab

from liveedit_cam.control.client import ControlClient, find_daemon
from liveedit_cam.errors import ControlError
from liveedit_cam.types import State

ROOT = Path(__file__).parent.parent
LAST = "make the background blue"
PATIENCE_S = 900.0
SETTLE_S = 3.0
"""A tile takes its picture 1.5 s after its look is seen."""
SHOTS = {
    "page.jpg": {"width": 1280, "height": 930, "deviceScaleFactor": 1, "scheme": "light"},
    "page-dock.jpg": {"width": 320, "height": 900, "deviceScaleFactor": 2, "scheme": "dark"},
}


def client_of(folder: Path) -> ControlClient:
    """The camera that was started, once it edits."""
    give_up_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_at:
        try:
            client = find_daemon(folder)
            if client.status().state is State.LIVE:
                return client
        except ControlError:
            pass  # it is starting
        time.sleep(0.5)
    raise SystemExit(f"no edited picture within {PATIENCE_S:g} s")


def give_all_looks(client: ControlClient, tab: Tab, settle_s: float) -> None:
    """Each look in force until its tile has a picture of its own; the last instruction after."""
    names = tab.run("[...document.querySelectorAll('[data-look]')].map((one) => one.dataset.look)")
    for name in names:
        client.apply_preset(name)
        tab.wait_for(f"document.querySelector('[data-look=\"{name}\"] img').src.startsWith('blob')")
        time.sleep(settle_s)
    accepted = client.instruct(LAST, strength=1.0, region=None, seed=0)
    client.wait_visible(accepted.revision, 60.0)


def shoot(tab: Tab, path: Path, size: dict[str, object], settle_s: float) -> None:
    """One picture of the page at that size and in those colours."""
    scheme = size.pop("scheme")
    tab.call("Emulation.setDeviceMetricsOverride", **size, mobile=size["width"] == 320)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    tab.call("Emulation.setEmulatedMedia", features=[feature])
    time.sleep(settle_s)
    found = tab.call("Page.captureScreenshot", format="jpeg", quality=88)
    path.write_bytes(base64.b64decode(found["data"]))
    print(path)


def main() -> None:
    """Run the camera, take the pictures, end it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("clip", type=Path, help="whose licence lets it stand in the README")
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    parser.add_argument("--width", type=int, default=1280, help="of the output, 16:9")
    parser.add_argument("--settle", type=float, default=SETTLE_S, help="seconds before a picture")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "run"
        environ = {**os.environ, "HOME": home, "LIVEEDIT_CAM_RUNTIME_DIR": str(folder)}
        size = ["--width", str(wanted.width), "--height", str(wanted.width * 9 // 16)]
        source = f"file:{wanted.clip.absolute()}"
        command = ["run", LAST, "--source", source, "--sink", "null", "--port", "0", *size]
        camera = subprocess.Popen(
            [sys.executable, "-m", "liveedit_cam", *command], env=environ, stdout=subprocess.DEVNULL
        )
        browser = Browser(Path(home) / "browser")
        try:
            client = client_of(folder)
            tab = browser.open(client.address.page_url)
            tab.call("Page.bringToFront")
            tab.wait_for("document.querySelectorAll('[data-look]').length === 8")
            give_all_looks(client, tab, wanted.settle)
            for name, shot in SHOTS.items():
                shoot(tab, wanted.out / name, dict(shot), wanted.settle)
        finally:
            browser.close()
            camera.terminate()
            camera.wait()


if __name__ == "__main__":
    main()
