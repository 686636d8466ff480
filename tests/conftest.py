"""What every test shares: one thread for torch, and the folder of the tiny model."""

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: tiny tensors gain nothing from more
sys.path.insert(0, str(Path(__file__).parent / "model"))
