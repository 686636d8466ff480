"""Say whether the browser of first-morning got an edited picture; writes look.png beside it.

    python3 judge.py LOOK.json

The camera shows vivid's colour bars, and the instruction was "make it black and white".
"""

import base64
import json
import sys
from pathlib import Path

path = Path(sys.argv[1])
look = json.loads(path.read_text())
if "looks" not in look:
    sys.exit(f"first-morning: got {look}, expected pictures of LiveEdit")
path.with_suffix(".png").write_bytes(base64.b64decode(look["png"].partition(",")[2]))
first, edited = look["looks"][0], look.get("edited")
print(f"cameras: {', '.join(look['labels'])}; {first['width']}x{first['height']}")
print(f"first picture after {first['seconds']:.0f} s, its colour {first['colour']:.1f} levels")
if edited is None:
    sys.exit("first-morning: got no grey bars in an hour, expected them")
print(
    f"edited after {edited['seconds']:.0f} s: colour {edited['colour']:.1f} levels, contrast "
    f"{edited['contrast']:.1f}"
)
