"""Samples the machine: often while somebody looks, rarely else. Keeps an hour and a day in memory.

Knows no HTTP and decides nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from statistics import fmean

import psutil

from shammah.paths import Paths
from shammah.protocol import GpuSample, HardwarePoint, HardwareSample, HistorySpan
from shammah_daemon.gpus import Gpus, Role
from shammah_daemon.schedule.conditions import hottest, on_battery, temperatures

#: Between two samples while somebody looks, and while nobody does.
WATCHED_SECONDS, IDLE_SECONDS = 2.0, 20.0

#: Who has asked so long ago does not look any more.
LOOKS_SECONDS = 10.0

#: What is kept: a point for so many seconds, for so long.
HOUR_STEP, HOUR = 20.0, 3600.0
DAY_STEP, DAY = 300.0, 86_400.0


class History:
    """Means over steps of time, as far back as `span`. Oldest first."""

    def __init__(self, step_seconds: float, span_seconds: float) -> None:
        self.step_seconds = step_seconds
        self._points: deque[HardwarePoint] = deque(maxlen=int(span_seconds / step_seconds))
        self._span = span_seconds
        self._samples: list[HardwareSample] = []  # of the newest point

    def add(self, sample: HardwareSample) -> None:
        """Later than those before; if the clock was set back, what is ahead of it goes."""
        start = sample.at // self.step_seconds * self.step_seconds
        while self._points and self._points[-1].at > start:
            self._points.pop()
            self._samples = []
        if self._points and self._points[-1].at == start:
            self._points.pop()
        else:
            self._samples = []
        self._samples.append(sample)
        self._points.append(_mean(start, self._samples))

    def points(self, now: float) -> list[HardwarePoint]:
        """Of the span that ends now: after a sleep, what is older is not shown."""
        return [point for point in self._points if now - self._span <= point.at <= now]


class Hardware:
    """The machine now and lately."""

    def __init__(
        self,
        take: Callable[[float], HardwareSample],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._take = take
        self._clock = clock
        self._spans: dict[HistorySpan, History] = {
            "hour": History(HOUR_STEP, HOUR),
            "day": History(DAY_STEP, DAY),
        }
        self._newest: HardwareSample | None = None
        self._looked_at = -LOOKS_SECONDS  # the loop's time
        self._looked = asyncio.Event()
        self._sampling = asyncio.Lock()

    async def run(self) -> None:
        """Sample for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await self._no_older_than(WATCHED_SECONDS / 2)
            watched = loop.time() - self._looked_at < LOOKS_SECONDS
            self._looked.clear()
            if watched:
                await asyncio.sleep(WATCHED_SECONDS)
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(IDLE_SECONDS):
                        await self._looked.wait()

    async def now(self) -> HardwareSample:
        """The newest sample, no older than who looks may expect."""
        self._looked_at = asyncio.get_running_loop().time()
        self._looked.set()
        return await self._no_older_than(2 * WATCHED_SECONDS)

    @property
    def time(self) -> float:
        """Of the clock that the samples are stamped by."""
        return self._clock()

    def history(self, span: HistorySpan) -> History:
        return self._spans[span]

    async def _no_older_than(self, seconds: float) -> HardwareSample:
        async with self._sampling:
            newest = self._newest
            if newest is not None and 0 <= self._clock() - newest.at < seconds:
                return newest
            sample = await asyncio.to_thread(self._take, self._clock())
            for history in self._spans.values():
                history.add(sample)
            self._newest = sample
            return sample


def take(at: float, paths: Paths, gpus: Gpus, role: Role) -> HardwareSample:
    """One sample. The processors' load is that since the one before.

    Args:
        at: seconds since the epoch.
    """
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    disk = psutil.disk_usage(str(paths.data_dir))
    return HardwareSample(
        at=at,
        cpu_percent=psutil.cpu_percent(percpu=True),
        memory_used_bytes=memory.total - memory.available,
        memory_total_bytes=memory.total,
        swap_used_bytes=swap.used,
        swap_total_bytes=swap.total,
        disk_used_bytes=disk.used,
        disk_total_bytes=disk.used + disk.free,  # without what is reserved for root
        temperature_celsius=hottest(temperatures()),
        on_battery=on_battery(),
        gpus=gpus.sample(role),
    )


def _mean(at: float, samples: list[HardwareSample]) -> HardwarePoint:
    """The GPUs as one: the mean of their load, the sum of their memory, the hottest."""
    gpus = [sample.gpus for sample in samples]
    return HardwarePoint(
        at=at,
        cpu_percent=fmean(fmean(sample.cpu_percent) for sample in samples),
        memory_used_bytes=round(fmean(sample.memory_used_bytes for sample in samples)),
        swap_used_bytes=round(fmean(sample.swap_used_bytes for sample in samples)),
        temperature_celsius=_highest([sample.temperature_celsius for sample in samples]),
        gpu_percent=_average([gpu.utilisation_percent for each in gpus for gpu in each]),
        gpu_memory_used_bytes=round(fmean(map(_used, gpus))) if any(gpus) else None,
        gpu_temperature_celsius=_highest([g.temperature_celsius for each in gpus for g in each]),
    )


def _used(gpus: list[GpuSample]) -> int:
    return sum(gpu.memory_used_bytes or 0 for gpu in gpus)


def _highest(values: list[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _average(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
