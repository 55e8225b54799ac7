"""Whether the machine is quiet enough for a lesson that nobody asked for. Pure.

What cannot be measured (no battery, no sensor) stands in nobody's way.
"""

from __future__ import annotations

from dataclasses import dataclass

from shammah.config import QuietConfig
from shammah_daemon.schedule.forecast import Forecast, Room, shortage


@dataclass(frozen=True)
class Snapshot:
    """The machine at one moment."""

    idle_seconds: float  # since the last answer
    on_battery: bool | None  # None: there is no battery
    temperature_celsius: float | None  # of the hottest sensor
    load_per_core: float | None
    room: Room


def blocked(now: Snapshot, policy: QuietConfig, forecast: Forecast) -> str | None:
    """Why a lesson had better not start now, in a few words; None if nothing speaks against it."""
    if reason := lost(now, policy, forecast):
        return reason
    if now.idle_seconds < policy.idle_minutes * 60:
        return f"chat in the last {policy.idle_minutes:g} min"
    temperature, limit = now.temperature_celsius, policy.max_temperature_celsius
    if limit and temperature is not None and temperature > limit:
        return f"too hot: {temperature:.0f} °C, the limit is {limit:.0f} °C"
    load = now.load_per_core
    if policy.max_load and load is not None and load > policy.max_load:
        return f"busy: load {load:.1f} per core, the limit is {policy.max_load:g}"
    return None


def lost(now: Snapshot, policy: QuietConfig, forecast: Forecast) -> str | None:
    """Why a lesson had better not go on. A lesson is load and heat itself, and gives way to chat:
    only power and room count.

    Args:
        forecast: of what is still to come.
    """
    if now.on_battery and not policy.on_battery:
        return "on battery"
    return shortage(
        forecast,
        now.room,
        spare_disk_bytes=int(policy.spare_disk_gb * 1e9),
        spare_memory_bytes=int(policy.spare_memory_gb * 1e9),
    )
