"""What the machine does, now and lately; GPUs through a stand-in that speaks like NVML."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shammah.client import Client
from shammah.paths import Paths
from shammah.protocol import HardwareSample
from shammah_daemon import gpus, hardware
from shammah_daemon.gpus import Gpus
from shammah_daemon.hardware import Hardware, History, take
from tests.running import Daemon, until

GIB = 1 << 30


class FakeNvml:
    """One GPU that does not tell its power."""

    NVML_TEMPERATURE_GPU = 0
    capability = (8, 9)

    class NVMLError(Exception):
        pass

    def __init__(self, *, driver: bool = True) -> None:
        self._driver = driver

    def nvmlInit(self) -> None:  # noqa: N802
        if not self._driver:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetName(self, handle: int) -> str:  # noqa: N802
        return "Toy 4090"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802
        return SimpleNamespace(used=5 * GIB, total=24 * GIB, free=19 * GIB)

    def nvmlDeviceGetCudaComputeCapability(self, handle: int) -> tuple[int, int]:  # noqa: N802
        return self.capability

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:  # noqa: N802
        return SimpleNamespace(gpu=70)

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:  # noqa: N802
        raise self.NVMLError("Not Supported")

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> int:  # noqa: N802
        return 61

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[Any]:  # noqa: N802
        used = {10: GIB, 11: 3 * GIB, 12: None, 99: GIB}
        return [SimpleNamespace(pid=pid, usedGpuMemory=bytes_) for pid, bytes_ in used.items()]


def role(pid: int) -> str | None:
    return {10: "serving", 11: "training", 12: "training"}.get(pid)


def sample(at: float, cpu: float = 50.0) -> HardwareSample:
    return HardwareSample(
        at=at,
        cpu_percent=[cpu, cpu],
        memory_used_bytes=1,
        memory_total_bytes=2,
        swap_used_bytes=0,
        swap_total_bytes=0,
        disk_used_bytes=0,
        disk_total_bytes=1,
        temperature_celsius=cpu,
        on_battery=None,
        gpus=[],
    )


def test_a_gpu_says_who_uses_its_memory_and_what_it_does_not_know() -> None:
    [found] = Gpus(FakeNvml()).sample(role)
    assert (found.name, found.utilisation_percent, found.temperature_celsius) == (
        "Toy 4090",
        70,
        61,
    )
    assert (found.memory_used_bytes, found.memory_total_bytes) == (5 * GIB, 24 * GIB)
    assert (found.serving_bytes, found.training_bytes) == (GIB, 3 * GIB)
    assert found.power_watts is None


def test_without_a_driver_there_is_no_gpu() -> None:
    assert Gpus(FakeNvml(driver=False)).sample(role) == []
    assert Gpus(FakeNvml(driver=False)).accelerators() == []


@pytest.mark.parametrize(("capability", "bf16"), [((8, 9), True), ((7, 5), False)])
def test_lessons_can_compute_on_a_gpu_that_torch_was_built_for(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], bf16: bool
) -> None:
    nvml = FakeNvml()
    nvml.capability = capability
    monkeypatch.setattr(gpus, "version", lambda _package: "2.13.0")
    [found] = Gpus(nvml).accelerators()
    assert (found.device, found.name, found.bf16) == ("cuda", "Toy 4090", bf16)
    assert (found.free_bytes, found.memory_bytes) == (19 * GIB, 24 * GIB)
    monkeypatch.setattr(gpus, "version", lambda _package: "2.13.0+cpu")
    assert Gpus(nvml).accelerators() == []


def test_a_point_is_the_mean_of_its_step_and_of_heat_the_highest() -> None:
    history = History(20, 3600)
    for at, cpu in [(40, 10), (45, 30), (61, 99)]:
        history.add(sample(at, cpu))
    points = history.points(now=70)
    assert [(p.at, p.cpu_percent, p.temperature_celsius) for p in points] == [
        (40, 20, 30),
        (60, 99, 99),
    ]


@given(st.lists(st.floats(-500, 5000), min_size=1, max_size=200))
def test_points_rise_in_time_whatever_the_clock_does_and_stay_within_the_span(
    steps: list[float],
) -> None:
    """Also one that is set back, or that jumps over a sleep."""
    history, now = History(20, 3600), 1e9
    for step in steps:
        now += step
        history.add(sample(now))
        times = [point.at for point in history.points(now)]
        assert times == sorted(set(times))
        assert times[-1] <= now < times[-1] + 20
        assert len(times) <= 180
        assert times[0] >= now - 3600


async def test_it_samples_often_only_while_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "WATCHED_SECONDS", 0.01)
    taken: list[float] = []

    def count(at: float) -> HardwareSample:
        taken.append(at)
        return sample(at)

    found = Hardware(count)
    running = asyncio.create_task(found.run())
    try:
        await until(lambda: taken)
        await asyncio.sleep(20 * hardware.WATCHED_SECONDS)
        assert len(taken) == 1
        await found.now()
        await until(lambda: len(taken) >= 4, hardware.LOOKS_SECONDS)
    finally:
        running.cancel()


def test_a_sample_of_this_machine_costs_little(home: Paths) -> None:
    """At one in 20 seconds, an idle daemon spends far less than its half of a percent on it."""
    gpus = Gpus(FakeNvml(driver=False))
    take(time.time(), home, gpus, role)
    began = time.process_time()
    for _ in range(20):
        found = take(time.time(), home, gpus, role)
    cpu_seconds = (time.process_time() - began) / 20
    assert cpu_seconds / hardware.IDLE_SECONDS < 0.001
    assert len(found.cpu_percent) == psutil.cpu_count()
    assert 0 < found.memory_used_bytes < found.memory_total_bytes


def test_the_daemon_tells_the_machine_now_and_lately(daemon: Daemon, client: Client) -> None:
    now = client.hardware()
    assert abs(now.at - time.time()) < 60
    history = client.hardware_history("hour")
    assert (history.span, history.step_seconds) == ("hour", 20)
    assert 0 <= history.data[-1].at <= now.at + 20
    assert client.hardware_history("day").step_seconds == 300
