"""Headless Chromium as a call program: it finds the virtual camera by its label and shows it."""

from __future__ import annotations

import http.server
import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import vm_sink
from vm_checks import DEADLINE_S
from vm_editor import BLACK_POINT, COUNTER_POINT, PAINTED, PAINTED_POINTS, SIZE
from vm_readers import TOLERANCE

LABEL = "LiveEdit"
POINTS = (*PAINTED_POINTS, BLACK_POINT, COUNTER_POINT)
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--use-fake-ui-for-media-stream",  # the permission, without the question
    "--autoplay-policy=no-user-gesture-required",
)
PAGE = """<!doctype html><video id=video autoplay muted playsinline></video><script>
const post = answer => fetch('/', {method: 'POST', body: JSON.stringify(answer)});
const cameras = async () => (await navigator.mediaDevices.enumerateDevices())
  .filter(device => device.kind == 'videoinput');
(async () => {
  try {
    const any = await navigator.mediaDevices.getUserMedia({video: true});  // shows the labels
    const labels = (await cameras()).map(device => device.label);
    const ours = (await cameras()).find(device => device.label == LABEL);
    any.getTracks().forEach(track => track.stop());
    const stream = await navigator.mediaDevices.getUserMedia(
      {video: {deviceId: {exact: ours.deviceId}, width: WIDTH, height: HEIGHT}});
    video.srcObject = stream;
    const canvas = document.createElement('canvas');
    const pen = canvas.getContext('2d', {willReadFrequently: true});
    const pictures = [];
    for (let i = 0; i < 8; i++) {
      await new Promise(done => video.requestVideoFrameCallback(done));
      [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
      pen.drawImage(video, 0, 0);
      pictures.push(POINTS.map(
        ([y, x]) => Array.from(pen.getImageData(x, y, 1, 1).data.slice(0, 3))));
    }
    post({labels, size: [video.videoWidth, video.videoHeight], pictures});
  } catch (error) { post({error: String(error)}); }
})()</script>"""


def chromium_finds_it_by_its_label() -> str:
    """Catches a camera that browsers do not list, another matrix, and a frozen picture."""
    answers: queue.Queue[dict[str, object]] = queue.Queue()
    with vm_sink.painting(), served(answers) as url, chromium(url):
        answer = answers.get(timeout=DEADLINE_S)
    assert "error" not in answer, answer
    assert answer["size"] == list(SIZE), answer
    pictures = np.array(answer["pictures"])  # (pictures, points, 3)
    expected = [*PAINTED, (0, 0, 0)]
    worst = int(np.abs(pictures[-1, :-1] - expected).max())
    assert worst <= TOLERANCE, f"got {pictures[-1].tolist()}, expected {expected}"
    assert len(set(pictures[:, -1, 0].tolist())) >= 4, f"frozen: {pictures[:, -1, 0]}"
    return f"labels {answer['labels']}, colours {pictures[-1].tolist()}"


CHECKS = (chromium_finds_it_by_its_label,)


@contextmanager
def served(answers: queue.Queue[dict[str, object]]) -> Iterator[str]:
    """The page on a free port; what it posts goes into ``answers``."""
    texts = {"LABEL": LABEL, "WIDTH": SIZE[0], "HEIGHT": SIZE[1], "POINTS": POINTS}
    page = PAGE
    for name, value in texts.items():
        page = page.replace(name, json.dumps(value))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply(page.encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.reply(b"")
            answers.put(json.loads(body))

        def reply(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *values: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def chromium(url: str) -> Iterator[None]:
    """Chromium with a profile of its own at ``url``, ended with all its processes."""
    profile = tempfile.mkdtemp()
    process = subprocess.Popen(
        ["chromium", *FLAGS, f"--user-data-dir={profile}", url],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(profile, ignore_errors=True)
