"""How near do edits come to their exact targets, on clips and wordings the model never saw?

    python benchmarks/quality.py --media ../shared/media [--model nano] [--out runs/bench]

The same as `liveedit-cam bench quality`; see its --help. Last line of stdout: one JSON object.
"""

from __future__ import annotations

import sys

from liveedit_cam.errors import LiveEditError
from liveedit_cam.lab.evaluation.commands import app

if __name__ == "__main__":
    try:
        app(args=["quality", *sys.argv[1:]], prog_name="benchmarks/quality.py")
    except LiveEditError as error:
        sys.exit(f"benchmarks/quality.py: {error}")
