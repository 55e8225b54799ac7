"""Looks at the machine and asks the policy whether a job may start. Decides nothing itself."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import psutil

from shammah.config import Config
from shammah.errors import NotFound
from shammah.options import TrainingConfig
from shammah.paths import Paths
from shammah.records import Cause, Job, PauseReason
from shammah.training.launching import processes
from shammah.training.planning import Machine, Plan, expected_work, plan
from shammah.training.sizing import Shape, shape_in
from shammah_daemon.bases import Bases
from shammah_daemon.disk import size_of
from shammah_daemon.schedule.forecast import NOTHING, Forecast, Room, forecast, require_room
from shammah_daemon.schedule.quiet import Snapshot, blocked, lost


class _Temperature(Protocol):
    @property
    def current(self) -> float | None: ...


class Conditions:
    """Tells which jobs had better wait, and for what."""

    def __init__(
        self,
        paths: Paths,
        config: Config,
        bases: Bases,
        look: Callable[[], Snapshot],
        accelerators: Callable[[], Sequence[Machine]] = tuple,
    ) -> None:
        """
        Args:
            accelerators: what could train faster than the processor, the fastest first.
        """
        self._paths = paths
        self._config = config
        self._bases = bases
        self._look = look
        self._accelerators = accelerators
        self._bf16 = multiplies_bf16()

    def waits(self, job: Job) -> str | None:
        """Why the job, which does not run, had better not begin, or go on, yet. The user's own
        never waits, and what the user has paused waits for the user's word alone."""
        if job.cause is Cause.USER or job.paused_for is PauseReason.USER:
            return None
        speaks_against = blocked if job.stage is None else lost
        return speaks_against(self._look(), self._config.quiet, self.remaining(job))

    def disturbs(self, job: Job) -> str | None:
        """Why the job, which runs and has what it takes, had better pause."""
        if job.cause is Cause.USER:
            return None
        return lost(self._look(), self._config.quiet, NOTHING)

    def has_room(self, job: Job) -> bool:
        """Whether the disk holds what the job still writes."""
        return self.remaining(job).disk_bytes <= self.room.disk_free_bytes

    def remaining(self, job: Job) -> Forecast:
        """What the job, which does not run, still takes: what it has written is on the disk."""
        whole = self.forecast(job.base)
        written = size_of([self._paths.job(job.id)], set())
        return replace(whole, disk_bytes=max(whole.disk_bytes - written, 0))

    def require_room(self, base: str) -> None:
        """Make sure that the machine can hold what a lesson on `base` is forecast to take.

        Raises:
            Shortage: it cannot; says what is missing.
        """
        require_room(self.forecast(base), self._look().room, self._typical)

    def forecast(self, base: str) -> Forecast:
        """What a lesson on `base` takes; nothing for one that is gone: the job says so itself."""
        try:
            shape = self.shape(base)
        except NotFound:
            return NOTHING
        return self._forecast(shape, prepared=self._bases.ground(base).is_ready)

    def plan(self, base: str, training: TrainingConfig) -> Plan:
        """How a lesson on `base` would compute here and now.

        Raises:
            NotFound: there is no such base.
        """
        replay_ratio = self._config.learning.replay_ratio
        work = expected_work(training.rank, training.batch_rows, replay_ratio)
        return plan(self.shape(base), self.machines(), work, _shards(training))

    def machines(self) -> list[Machine]:
        """What lessons can compute on, the fastest first."""
        room = self._look().room
        processor = Machine(
            device="cpu",
            name="",
            memory_bytes=room.memory_total_bytes,
            free_bytes=room.memory_available_bytes,
            bf16=self._bf16,
        )
        return [*self._accelerators(), *apple(processor), processor]

    def shape(self, base: str) -> Shape:
        """Raises NotFound."""
        parameters = self._bases.get(base).parameters
        return shape_in(self._bases.ground(base).train, parameters)

    def _forecast(self, shape: Shape, *, prepared: bool = True) -> Forecast:
        training, quantizations = self._config.training, self._config.gate.quantizations
        return forecast(
            shape, self.machines(), training.rank, quantizations,
            prepared=prepared, shards=_shards(training),
        )  # fmt: skip

    def _typical(self, parameters: int) -> Forecast:
        return self._forecast(Shape.typical(parameters))

    @property
    def room(self) -> Room:
        return self._look().room


def _shards(training: TrainingConfig) -> int:
    """Processes that divide the base among them."""
    return processes(training.launch) if training.fsdp else 1


def snapshot(paths: Paths, idle_seconds: float, held_ahead: int | None) -> Snapshot:
    """The machine now.

    Args:
        idle_seconds: since the last answer.
        held_ahead: the process that holds memory for the next lesson already.
    """
    return Snapshot(
        idle_seconds=idle_seconds,
        on_battery=on_battery(),
        temperature_celsius=hottest(temperatures()),
        load_per_core=_load_per_core(),
        room=room(paths, held_ahead),
    )


def room(paths: Paths, held_ahead: int | None = None) -> Room:
    """Disk and memory that a lesson can take, and those that the machine has at all."""
    memory, disk = psutil.virtual_memory(), shutil.disk_usage(paths.data_dir)
    held = 0
    if held_ahead is not None:
        with contextlib.suppress(psutil.Error):
            held = psutil.Process(held_ahead).memory_info().rss
    return Room(
        disk_free_bytes=disk.free,
        memory_available_bytes=memory.available + held,
        memory_total_bytes=memory.total,
    )


def on_battery() -> bool | None:
    """None where there is no battery, or nobody knows of one."""
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    if battery is None or battery.power_plugged is None:
        return None
    return not battery.power_plugged


def temperatures() -> Mapping[str, Sequence[_Temperature]]:
    """By chip; empty where the system has no sensors to read."""
    if not hasattr(psutil, "sensors_temperatures"):
        return {}
    found: Mapping[str, Sequence[_Temperature]] = psutil.sensors_temperatures()
    return found


def hottest(by_chip: Mapping[str, Sequence[_Temperature]]) -> float | None:
    """In degrees Celsius. What reads as freezing is a sensor that is not connected."""
    read = [sensor.current for chip in by_chip.values() for sensor in chip]
    return max((value for value in read if value and value > 0), default=None)


def multiplies_bf16(flags: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether torch finds that the processor does so natively: AVX-512 BF16 or AMX, on x86."""
    try:
        said = flags.read_text()
    except OSError:
        return False
    return not {"avx512_bf16", "amx_tile"}.isdisjoint(said.split())


def apple(
    processor: Machine, system: str = sys.platform, kind: str = platform.machine()
) -> list[Machine]:
    """The GPU of a Mac with Apple's processor, which computes in the same memory; bfloat16 came to
    it with macOS 14."""
    if (system, kind) != ("darwin", "arm64"):
        return []
    release = int(platform.mac_ver()[0].partition(".")[0] or 0)
    return [replace(processor, device="mps", name="Apple GPU", bf16=release >= 14)]


def _load_per_core() -> float | None:
    """Of the last minute."""
    try:
        return psutil.getloadavg()[0] / (os.cpu_count() or 1)
    except OSError:
        return None
