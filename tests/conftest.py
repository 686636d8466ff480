"""What every test shares: one thread for torch, and the helpers found by name."""

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: tiny tensors gain nothing from more
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "model")]
