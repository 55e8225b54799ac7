"""Background work gives way to chat: children are stopped while an answer is being generated.

Two OpenMP programs on the same cores slow each other more than tenfold (DESIGN §1). Knows
processes only by their number.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Manners:
    """How far background work gives way."""

    resume_after_seconds: float = 1.0  # of no answer being generated
    #: Chat without a pause must not starve a lesson: a child that waited so long gets a slice,
    #: which leaves at least nine tenths of the time to the chat.
    longest_wait_seconds: float = 9.0
    slice_seconds: float = 1.0


class Courtesy:
    """Stops and continues the registered children (SIGSTOP, SIGCONT)."""

    def __init__(self, manners: Manners | None = None) -> None:
        self._manners = manners or Manners()
        self._children: set[int] = set()
        self._answers = 0
        self._stopped = False
        self._stopped_at = 0.0  # the loop's time
        self._in_slice = False
        self._timer: asyncio.TimerHandle | None = None

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """An answer is being generated."""
        self._answers += 1
        if self._answers == 1 and not self._in_slice:
            self._yield()
        try:
            yield
        finally:
            self._answers -= 1
            if self._answers == 0 and not self._in_slice:
                self._schedule(self._manners.resume_after_seconds, self._resume)

    @contextlib.contextmanager
    def background(self, pid: int) -> Iterator[None]:
        """The process `pid` works in the background for as long as this lasts."""
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, pid, 10)
        self._children.add(pid)
        if self._stopped:
            _signal(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            self._children.discard(pid)
            _signal(pid, signal.SIGCONT)
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, pid, 0)

    def _yield(self) -> None:
        """Stop; the longest wait counts from the first of answers that follow closely."""
        now = asyncio.get_running_loop().time()
        if not self._stopped:
            self._stopped, self._stopped_at = True, now
            self._signal_all(signal.SIGSTOP)
        waited = now - self._stopped_at
        self._schedule(max(self._manners.longest_wait_seconds - waited, 0.0), self._grant_slice)

    def _grant_slice(self) -> None:
        self._in_slice = True
        self._resume()
        self._schedule(self._manners.slice_seconds, self._end_slice)

    def _end_slice(self) -> None:
        self._in_slice = False
        if self._answers:
            self._yield()

    def _resume(self) -> None:
        self._stopped = False
        self._signal_all(signal.SIGCONT)

    def _schedule(self, seconds: float, action: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, action)

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self._children:
            _signal(pid, number)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
