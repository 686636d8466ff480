"""Serve one page that asks the browser for the camera "LiveEdit", and write what it saw.

    python3 look.py LOOK.json

The page counts seconds from its load and looks at the picture every five seconds, until the bars
are grey, as the instruction wants them (the still card is dark and flat).
"""

import http.server
import json
import sys
from pathlib import Path

PAGE = b"""<!doctype html><title>look</title><video id=v muted playsinline></video><script>
const wait = s => new Promise(done => setTimeout(done, 1000 * s));
const tell = (path, what) => fetch(path, {method: "POST", body: JSON.stringify(what)});
const canvas = document.createElement("canvas");
function seen() {
  canvas.width = v.videoWidth; canvas.height = v.videoHeight;
  const pen = canvas.getContext("2d");
  pen.drawImage(v, 0, 0);
  const p = pen.getImageData(0, 0, canvas.width, canvas.height).data;
  let colour = 0, light = 0, square = 0;
  for (let i = 0; i < p.length; i += 4) {
    colour += Math.max(p[i], p[i+1], p[i+2]) - Math.min(p[i], p[i+1], p[i+2]);
    light += p[i+1]; square += p[i+1] ** 2;
  }
  const pixels = p.length / 4, mean = light / pixels;
  return {seconds: performance.now() / 1000, colour: colour / pixels,
          contrast: Math.sqrt(square / pixels - mean ** 2),
          width: canvas.width, height: canvas.height};
}
(async () => {
  const media = navigator.mediaDevices;
  (await media.getUserMedia({video: true})).getTracks().forEach(track => track.stop());
  const cameras = (await media.enumerateDevices()).filter(one => one.kind == "videoinput");
  const labels = cameras.map(one => one.label);
  const it = cameras.find(one => one.label.includes("LiveEdit"));
  if (!it) return tell("/end", {labels, error: "no LiveEdit"});
  v.srcObject = await media.getUserMedia({video: {deviceId: {exact: it.deviceId}}});
  await v.play();
  const looks = [];
  const look = async until => { // now and then, until it is so, at most an hour
    for (let n = 0; n < 720; n++) {
      looks.push(seen());
      if (until(looks.at(-1))) return looks.at(-1);
      await wait(5);
    }
  };
  const edited = await look(one => one.contrast > 40 && one.colour < 12);
  await tell("/end", {labels, looks, png: canvas.toDataURL("image/png"), edited});
})().catch(error => tell("/end", {error: String(error)}));
</script>"""


class Handler(http.server.BaseHTTPRequestHandler):
    """Gives the page and takes what it tells."""

    def do_GET(self) -> None:
        """The page, whatever is asked for."""
        self._answer(PAGE)

    def do_POST(self) -> None:
        """Writes what was seen, and ends."""
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(b"")
        Path(sys.argv[1]).write_text(json.dumps(told))
        self.server.shutdown()

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


# threads: a browser opens connections that it may use later
http.server.ThreadingHTTPServer(("127.0.0.1", 8600), Handler).serve_forever()
