"""How many replicas does a day of many sessions take, and who is not served while they start?

    python benchmarks/scale.py [--peak 1000000] [--per-replica 4] [--plot docs/scale.png]

A simulation, no measurement: three regions whose days are eight hours apart, sessions that come at
random and last 40 minutes on average, a quarter of each hour's in its first minute, as meetings
begin; replicas that take ``--per-replica`` sessions, are asked for when those there are 80 % full,
and are ready ``--start`` seconds later. Who finds no place edits with the local model. Last line:
one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

STEP_S = 10
DAY_S = 24 * 3600
MEAN_SESSION_S = 40 * 60
REGIONS = 3
TARGET = 0.8
"""Share of its sessions from which on a replica calls for another."""
KEEP_S = 600
"""A replica that is not needed is kept so long."""
SURGE = 0.25
"""Share of an hour's arrivals that come in its first minute, on top: meetings begin then."""


@dataclass(frozen=True, slots=True)
class Day:
    """One region, a value for each step."""

    wanted: NDArray[np.float64]
    """Sessions there are, served or not."""
    served: NDArray[np.float64]
    replicas: NDArray[np.float64]


def awake(times_s: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of its busiest that a region is at, by the second of its day."""
    day = times_s % DAY_S / DAY_S
    return np.clip(np.sin(np.pi * (day - 0.25) / 0.6), 0.02, 1)  # from 6:00 to 20:24


def simulate(peak: float, per_replica: float, start_s: float, shift_s: int, seed: int) -> Day:
    """A day of one region whose busiest hour has about ``peak`` sessions."""
    random = np.random.default_rng(seed)
    times = np.arange(0, DAY_S, STEP_S)
    share = awake(times + shift_s)
    rate = share * peak / MEAN_SESSION_S * STEP_S
    rate *= np.where(times % 3600 < 60, 1 + SURGE * 60, 1 - SURGE)
    sessions = share[0] * peak
    replicas = np.ceil(sessions / per_replica / TARGET)
    starting: deque[float] = deque([0.0] * round(start_s / STEP_S))
    recent: deque[float] = deque(maxlen=round(KEEP_S / STEP_S))
    wanted, served, counts = (np.zeros(len(times)) for _ in range(3))
    for step in range(len(times)):
        sessions += random.poisson(rate[step])
        sessions -= random.binomial(int(sessions), STEP_S / MEAN_SESSION_S)
        replicas += starting.popleft() if starting else 0.0
        needed = np.ceil(sessions / per_replica / TARGET)
        recent.append(needed)
        starting.append(max(0.0, needed - replicas - sum(starting)))
        replicas = min(replicas, max(recent))
        wanted[step], counts[step] = sessions, replicas
        served[step] = min(sessions, replicas * per_replica)
    return Day(wanted, served, counts)


def main() -> None:
    """Simulate, print, plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peak", type=float, default=1e6)
    parser.add_argument("--per-replica", type=float, default=4.0)
    parser.add_argument("--start", type=float, nargs="+", default=[30.0, 120.0, 600.0])
    parser.add_argument("--plot", type=Path)
    wanted = parser.parse_args()
    rows = []
    shifts = [number * DAY_S // REGIONS for number in range(REGIONS)]
    together = sum(awake(np.arange(0, DAY_S, STEP_S) + shift_s) for shift_s in shifts)
    peak = wanted.peak / float(np.max(together))
    for start_s in wanted.start:
        days = [
            simulate(peak, wanted.per_replica, start_s, shift_s, seed)
            for seed, shift_s in enumerate(shifts)
        ]
        together = sum(day.wanted for day in days)
        unserved = sum((day.wanted - day.served).sum() for day in days) / together.sum()
        hours = sum(day.replicas.sum() for day in days) * STEP_S / 3600
        ideal = together.sum() / wanted.per_replica * STEP_S / 3600
        rows.append(
            {
                "start_s": start_s,
                "most_sessions": round(float(together.max())),
                "local_share": round(float(unserved), 5),
                "local_worst_region": round(
                    max(float((1 - day.served / day.wanted).max()) for day in days), 3
                ),
                "most_replicas": round(float(sum(day.replicas for day in days).max())),
                "replica_hours": round(float(hours)),
                "hours_over_full": round(float(hours / ideal), 2),
            }
        )
        print(rows[-1])
        if wanted.plot is not None and start_s == wanted.start[-1]:
            plot(days[0], wanted.per_replica, start_s, wanted.plot)
    print(json.dumps({"question": "What does a day of many sessions take?", "rows": rows}))


def plot(day: Day, per_replica: float, start_s: float, path: Path) -> None:
    """Sessions of one region and the room there is for them."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 3.4), layout="constrained")
    hours = np.arange(len(day.wanted)) * STEP_S / 3600
    axes.plot(hours, day.replicas * per_replica, color="#7a8fb5", label="room in replicas")
    axes.plot(hours, day.wanted, color="#c4622d", label="sessions there are")
    axes.fill_between(
        hours, day.served, day.wanted, color="#c4622d", alpha=0.4, label="edited here"
    )
    axes.set(xlabel="hour", ylabel="sessions", xlim=(0, 24), ylim=(0, None))
    axes.set_title(f"one region, replicas ready after {start_s:g} s")
    axes.legend(loc="upper left")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
