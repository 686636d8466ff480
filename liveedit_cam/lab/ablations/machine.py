"""The machine that figures were measured on, and the commit that was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class Machine:
    """Where figures were measured."""

    cores: int
    """Cores this process may use."""
    cpu: str
    torch: str
    dtype: str
    """Number format of the editor."""
    commit: str
    """Commit of this checkout; ends in "+changes" where files differ from it."""


def this_machine() -> Machine:
    """Facts of this machine. Imports torch: call it after memory has been measured."""
    import torch

    from liveedit_cam.model.weights import choose_device, fast_dtype

    can_pin = hasattr(os, "sched_getaffinity")
    return Machine(
        cores=len(os.sched_getaffinity(0)) if can_pin else os.cpu_count() or 1,
        cpu=_cpu_name(),
        torch=torch.__version__,
        dtype=str(fast_dtype(choose_device("auto"))).removeprefix("torch."),
        commit=_commit(),
    )


def _cpu_name() -> str:
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        for line in facts.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    commit = _git("rev-parse", "--short", "HEAD")
    return f"{commit}+changes" if commit and _git("status", "--porcelain") else commit or "unknown"


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False
        )
    except OSError:  # no git here
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
