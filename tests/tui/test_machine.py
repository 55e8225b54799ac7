"""Figures of the machine in words and as curves."""

from __future__ import annotations

from datetime import UTC, datetime

from shammah.protocol import GpuSample, HardwareHistory, HardwarePoint, HardwareSample
from shammah_tui import machine

GPU = GpuSample(
    name="Some GPU",
    utilisation_percent=40.0,
    memory_used_bytes=6_000_000_000,
    memory_total_bytes=24_000_000_000,
    serving_bytes=2_000_000_000,
    training_bytes=3_000_000_000,
    temperature_celsius=61.0,
    power_watts=123.4,
)
SAMPLE = HardwareSample(
    at=0.0,
    cpu_percent=[10.0, 100.0, 0.0],
    memory_used_bytes=8_000_000_000,
    memory_total_bytes=16_000_000_000,
    swap_used_bytes=0,
    swap_total_bytes=0,
    disk_used_bytes=99_000_000_000,
    disk_total_bytes=100_000_000_000,
    temperature_celsius=None,
    on_battery=True,
    gpus=[GPU],
)


def history(*points: tuple[float, float | None]) -> HardwareHistory:
    """`points`: moments, and the load of a GPU."""
    return HardwareHistory(
        span="hour",
        step_seconds=20.0,
        data=[
            HardwarePoint(
                at=at,
                cpu_percent=50.0,
                memory_used_bytes=8_000_000_000,
                swap_used_bytes=0,
                temperature_celsius=None,
                gpu_percent=load,
                gpu_memory_used_bytes=None,
                gpu_temperature_celsius=None,
            )
            for at, load in points
        ],
    )


def test_cores_stand_side_by_side_as_far_as_there_is_room() -> None:
    assert "core 0" in machine.described(SAMPLE, 80).plain.splitlines()[0]
    assert "core 2" in machine.described(SAMPLE, 80).plain.splitlines()[0]
    assert "core 1" in machine.described(SAMPLE, 40).plain.splitlines()[1]


def test_what_is_not_there_is_not_shown_as_nought() -> None:
    text = machine.described(SAMPLE, 80).plain
    assert "swap" not in text
    assert "sensor" not in text
    assert "on battery" in text
    assert "no GPU" in machine.described(SAMPLE.model_copy(update={"gpus": []}), 80).plain


def test_the_memory_of_a_gpu_is_split() -> None:
    text = machine.described(SAMPLE, 80).plain
    assert "Some GPU  40 % · 61 °C · 123 W" in text
    assert "serving 2.0 GB · training 3.0 GB · others 1.0 GB" in text


def test_what_runs_out_has_the_colour_of_an_alarm() -> None:
    found = machine.described(SAMPLE, 80)
    disk = found.plain.index("disk")
    colours = [span.style for span in found.spans if disk < span.start < disk + 20]
    assert "$text-error" in colours


def test_curves_leave_out_what_was_not_measured() -> None:
    drawn = machine.curves(history((0, None), (20, 30.0), (40, None)))
    assert drawn["gpu"].curves["GPU"].x == [20]
    assert not drawn["heat"].curves["hottest sensor"].x
    assert drawn["cpu"].limits == (0, 100)


def test_no_moment_stands_twice_under_a_curve() -> None:
    noon = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    start = noon.timestamp()
    short = machine.ticks(history((start, None), (start + 70, None)), noon)
    assert list(short.values()) == ["12:00", "12:01"]
    long = machine.ticks(history((start, None), (start + 3600, None)), noon)
    assert list(long.values()) == ["12:00", "12:20", "12:40", "13:00"]
    assert machine.ticks(history(), noon) == {}
