"""What makes a lesson wait that nobody asked for."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shammah.config import QuietConfig
from shammah_daemon.schedule.conditions import hottest
from shammah_daemon.schedule.forecast import NOTHING, Forecast, Room
from shammah_daemon.schedule.quiet import Snapshot, blocked, lost

GB = 10**9
PLENTY = Room(100 * GB, 100 * GB, 100 * GB)
LESSON = Forecast(GB, 2 * GB)

#: A desktop: no battery, no sensor, nobody has chatted for a second.
DESKTOP = Snapshot(1.0, None, None, None, PLENTY)
QUIET = QuietConfig()

snapshots = st.builds(
    Snapshot,
    idle_seconds=st.floats(0, 1e6),
    on_battery=st.none() | st.booleans(),
    temperature_celsius=st.none() | st.floats(0, 120),
    load_per_core=st.none() | st.floats(0, 10),
    room=st.just(PLENTY),
)


def test_on_a_desktop_nothing_stands_in_the_way() -> None:
    assert blocked(DESKTOP, QUIET, LESSON) is None


@pytest.mark.parametrize(
    ("now", "policy", "reason"),
    [
        (replace(DESKTOP, on_battery=True), QUIET, "on battery"),
        (
            replace(DESKTOP, idle_seconds=299),
            QuietConfig(idle_minutes=5),
            "chat in the last 5 min",
        ),
        (
            replace(DESKTOP, temperature_celsius=95),
            QUIET,
            "too hot: 95 °C, the limit is 90 °C",
        ),
        (
            replace(DESKTOP, load_per_core=1.5),
            QuietConfig(max_load=0.8),
            "busy: load 1.5 per core, the limit is 0.8",
        ),
        (
            replace(DESKTOP, room=replace(PLENTY, disk_free_bytes=int(1.9 * GB))),
            QUIET,
            "disk: 2.0 GB needed, 1.9 GB free",
        ),
        (
            replace(DESKTOP, room=replace(PLENTY, memory_available_bytes=2 * GB)),
            QuietConfig(spare_memory_gb=0.5),
            "memory: 2.5 GB needed, 2.0 GB free",
        ),
    ],
)
def test_each_condition_is_said(now: Snapshot, policy: QuietConfig, reason: str) -> None:
    assert blocked(now, policy, LESSON) == reason


def test_each_condition_can_be_turned_off() -> None:
    busy = Snapshot(0, True, 110, 9.0, PLENTY)
    anything = QuietConfig(on_battery=True, max_temperature_celsius=0)
    assert blocked(busy, anything, LESSON) is None


@given(snapshots)
def test_a_lesson_that_may_begin_is_not_paused_at_once(now: Snapshot) -> None:
    policy = QuietConfig(idle_minutes=3, max_load=1.0)
    if blocked(now, policy, LESSON) is None:
        assert lost(now, policy, NOTHING) is None


def test_its_own_heat_and_a_chat_do_not_pause_a_lesson_but_the_plug_does() -> None:
    hot = Snapshot(0, False, 110, 9.0, PLENTY)
    assert lost(hot, QUIET, NOTHING) is None
    assert lost(replace(hot, on_battery=True), QUIET, NOTHING) == "on battery"


def test_the_hottest_sensor_counts_and_a_dead_one_does_not() -> None:
    def chip(*values: float | None) -> list[SimpleNamespace]:
        return [SimpleNamespace(current=value) for value in values]

    assert hottest({"coretemp": chip(61.0, 72.0), "nvme": chip(40.0), "dead": chip(-128)}) == 72.0
    assert hottest({}) is None
    assert hottest({"dead": chip(0.0, None)}) is None
