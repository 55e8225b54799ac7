"""Background work gives way to chat: children are stopped while an answer is being generated.

Two OpenMP programs on the same cores slow each other more than tenfold (DESIGN §1). Knows
processes only by their number.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil

#: Of background work: ten of nineteen steps down for the CPU, the last of eight for the disk.
NICE, IO_LEVEL = 10, 7


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
        self._last_answer = time.monotonic()  # or the beginning of all
        self._stopped = False
        self._stopped_at = 0.0  # the loop's time
        self._in_slice = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def idle_seconds(self) -> float:
        """Since an answer was being generated, or since the beginning."""
        return 0.0 if self._answers else time.monotonic() - self._last_answer

    @property
    def children(self) -> frozenset[int]:
        """The processes that work in the background now."""
        return frozenset(self._children)

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
            self._last_answer = time.monotonic()
            if self._answers == 0 and not self._in_slice:
                self._schedule(self._manners.resume_after_seconds, self._resume)

    @contextlib.contextmanager
    def background(self, pid: int, *, may_serve: bool = False) -> Iterator[None]:
        """The process `pid`, with those that it has started, works in the background for as long
        as this lasts.

        Args:
            may_serve: it may answer the user later. Its priority stays: only root could raise it
                again.
        """
        family = _family(pid)
        if not may_serve:
            for member in family:
                _lower_priority(member)
        self._children |= family
        if self._stopped:
            for member in family:
                _signal(member, signal.SIGSTOP)
        try:
            yield
        finally:
            self._children -= family
            for member in family:
                _signal(member, signal.SIGCONT)

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


def _family(pid: int) -> set[int]:
    """The process and its descendants: a launcher's (`training.launch`) are those that train."""
    with contextlib.suppress(psutil.Error):
        return {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}
    return {pid}


def _lower_priority(pid: int) -> None:
    """For the CPU and, on Linux, for the disk. Linux keeps both for each thread, and a new thread
    has those of the one that began it."""
    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        if hasattr(process, "ionice"):
            process.ionice(psutil.IOPRIO_CLASS_BE, IO_LEVEL)
        threads = [thread.id for thread in process.threads()] if psutil.LINUX else [pid]
        for number in threads:
            os.setpriority(os.PRIO_PROCESS, number, NICE)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
