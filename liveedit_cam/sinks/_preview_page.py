"""The preview's one page: two pictures side by side, no script. Knows only the key."""

from __future__ import annotations

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>LiveEdit preview</title>
<style>
  :root { color-scheme: dark; }
  body { margin: 0; min-height: 100vh; display: grid; align-content: center; gap: 1.5rem;
    background: linear-gradient(#1e212c, #0b0c11); color: #eef1f6;
    font: 16px/1.5 system-ui, sans-serif; }
  main { display: flex; flex-wrap: wrap; gap: 1.5rem; justify-content: center; padding: 1.5rem; }
  figure { margin: 0; flex: 1 1 20rem; max-width: 44rem; }
  img { display: block; width: 100%; border-radius: 10px; background: #000;
    box-shadow: 0 8px 30px #0008; }
  figcaption { margin-bottom: .5rem; color: #9ea6b6; }
  .edited figcaption { color: #40d0be; }
</style>
</head>
<body>
<main>
<figure><figcaption>Source</figcaption>
<img src="/source.mjpeg?key=KEY" alt="The source picture, live"></figure>
<figure class="edited"><figcaption>Edited</figcaption>
<img src="/edited.mjpeg?key=KEY" alt="The edited picture, live"></figure>
</main>
</body>
</html>
"""


def page(key: str) -> str:
    """The HTML; ``key`` is URL-safe and goes into both picture addresses."""
    return _PAGE.replace("KEY", key)
