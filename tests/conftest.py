"""What every test shares: one thread for torch."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: tiny tensors gain nothing from more
