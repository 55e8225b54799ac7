"""How long a call takes."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter


def best_milliseconds(act: Callable[[], object], runs: int) -> float:
    """The least of so many runs: what the call costs, not what else the machine was doing."""
    times = []
    for _ in range(runs):
        start = perf_counter()
        act()
        times.append(perf_counter() - start)
    return min(times) * 1000
