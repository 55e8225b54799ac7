"""Figures of the machine in words and as curves; pure, knows no widget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from textual.content import Content

from shammah.protocol import GpuSample, HardwareHistory, HardwarePoint, HardwareSample
from shammah.wording import one_line
from shammah_tui.curves import Curve

#: From here on a share of something that may run out is a warning, and then an alarm.
WARN, ALARM = 0.8, 0.95

_BAR = 20
_CORE_BAR = 10
_GB = 1e9


@dataclass(frozen=True)
class Chart:
    """The curves of one plot, and the limits of its y axis."""

    curves: dict[str, Curve]
    limits: tuple[float | None, float | None] = (0, None)


def described(sample: HardwareSample, columns: int) -> Content:
    """The machine now: a line for each thing, and as many cores in a line as fit."""
    lines = _cores(sample.cpu_percent, columns)
    lines.append(_room("memory", sample.memory_used_bytes, sample.memory_total_bytes))
    if sample.swap_total_bytes:
        lines.append(_room("swap", sample.swap_used_bytes, sample.swap_total_bytes))
    lines.append(_room("disk", sample.disk_used_bytes, sample.disk_total_bytes))
    rest = []
    if sample.temperature_celsius is not None:
        rest.append(f"hottest sensor {sample.temperature_celsius:.0f} °C")
    if sample.on_battery is not None:
        rest.append("on battery" if sample.on_battery else "on mains")
    if not sample.gpus:
        rest.append("no GPU")
    if rest:
        lines.append(Content.styled(" · ".join(rest), "dim"))
    for gpu in sample.gpus:
        lines += _gpu(gpu)
    return Content("\n").join(lines)


def curves(history: HardwareHistory) -> dict[str, Chart]:
    """What each plot shows, by its id."""

    def of(value: Callable[[HardwarePoint], float | None], colour: str) -> Curve:
        known = [(point.at, found) for point in history.data if (found := value(point)) is not None]
        return Curve([at for at, _ in known], [found for _, found in known], colour)

    def gb(value: int | None) -> float | None:
        return None if value is None else value / _GB

    return {
        "cpu": Chart({"all cores": of(lambda point: point.cpu_percent, "primary")}, (0, 100)),
        "memory": Chart(
            {
                "memory": of(lambda point: gb(point.memory_used_bytes), "primary"),
                "swap": of(lambda point: gb(point.swap_used_bytes), "warning"),
                "GPU": of(lambda point: gb(point.gpu_memory_used_bytes), "success"),
            }
        ),
        "heat": Chart(
            {
                "hottest sensor": of(lambda point: point.temperature_celsius, "primary"),
                "GPU": of(lambda point: point.gpu_temperature_celsius, "success"),
            }
        ),
        "gpu": Chart({"GPU": of(lambda point: point.gpu_percent, "success")}, (0, 100)),
    }


def ticks(history: HardwareHistory, now: datetime, number: int = 4) -> dict[float, str]:
    """Moments along the axis, in the time zone of `now`."""
    if not history.data:
        return {}
    first, last = history.data[0].at, history.data[-1].at
    step = (last - first) / (number - 1)
    said: dict[str, float] = {}
    for index in range(number):
        said.setdefault(_clock(first + step * index, now), first + step * index)
    return {at: text for text, at in said.items()}


def _clock(at: float, now: datetime) -> str:
    return f"{datetime.fromtimestamp(at, now.tzinfo):%H:%M}"


def _cores(percent: list[float], columns: int) -> list[Content]:
    """`core 0  ━━━━  43 %`, as many side by side as fit between the borders."""
    cells = [
        Content.assemble(
            (f"core {number:<3}", "dim"), _bar(share / 100, _CORE_BAR), f" {share:3.0f} %"
        )
        for number, share in enumerate(percent)
    ]
    gap = Content("  ")
    beside = max(1, (columns - 4 + len(gap)) // (len(cells[0]) + len(gap))) if cells else 1
    return [gap.join(cells[start : start + beside]) for start in range(0, len(cells), beside)]


def _room(name: str, used: int, total: int) -> Content:
    share = used / total if total else 0.0
    return Content.assemble(
        (f"{name:<8}", "dim"),
        _bar(share, _BAR),
        f" {used / _GB:.1f} of {total / _GB:.1f} GB, {total / _GB - used / _GB:.1f} GB free",
    )


def _gpu(gpu: GpuSample) -> list[Content]:
    """Its name and load; then its memory, split into serving, training and the rest."""
    parts = []
    if gpu.utilisation_percent is not None:
        parts.append(f"{gpu.utilisation_percent:.0f} %")
    if gpu.temperature_celsius is not None:
        parts.append(f"{gpu.temperature_celsius:.0f} °C")
    if gpu.power_watts is not None:
        parts.append(f"{gpu.power_watts:.0f} W")
    lines = [Content.assemble((one_line(gpu.name), "bold"), "  " + " · ".join(parts))]
    if gpu.memory_used_bytes is not None and gpu.memory_total_bytes:
        lines.append(_room("memory", gpu.memory_used_bytes, gpu.memory_total_bytes))
        others = max(0, gpu.memory_used_bytes - gpu.serving_bytes - gpu.training_bytes)
        split = (
            ("serving", gpu.serving_bytes),
            ("training", gpu.training_bytes),
            ("others", others),
        )
        said = " · ".join(f"{name} {size / _GB:.1f} GB" for name, size in split)
        lines.append(Content(f"        {said}"))
    return lines


def _bar(share: float, width: int) -> Content:
    filled = round(max(0.0, min(share, 1.0)) * width)
    colour = (
        "$text-error" if share >= ALARM else "$text-warning" if share >= WARN else "$text-accent"
    )
    return Content.styled("━" * filled, colour) + Content.styled("╌" * (width - filled), "dim")
