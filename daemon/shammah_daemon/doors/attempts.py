"""How many wrong tokens an address has tried lately. Knows no token."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable

#: A token cannot be guessed; the bound is for the log and for programs that never give up.
ALLOWED = 10
WINDOW_SECONDS = 60.0

#: Addresses that are remembered; the one that failed longest ago is forgotten first.
ADDRESSES = 256


class Attempts:
    """Counts failures in a window that moves on."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def failed(self, address: str) -> float:
        """Count one more. Seconds until the next is answered as itself; 0 if this one is."""
        now = self._now()
        times = self._failures.setdefault(address, deque())
        self._failures.move_to_end(address)
        while len(self._failures) > ADDRESSES:
            self._failures.popitem(last=False)
        while times and times[0] <= now - WINDOW_SECONDS:
            times.popleft()
        if len(times) >= ALLOWED:
            return times[0] + WINDOW_SECONDS - now
        times.append(now)
        return 0.0
