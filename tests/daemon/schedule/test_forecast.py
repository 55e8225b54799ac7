"""The forecast of what a lesson takes, and what is said where it does not fit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shammah.errors import Shortage
from shammah_daemon.schedule.forecast import Forecast, Room, forecast, require_room, shortage

GB = 10**9
LADDER = ["Q6_K", "Q8_0"]


@given(st.integers(10**6, 10**11), st.integers(1, 256), st.booleans())
def test_a_larger_base_or_rank_never_takes_less(size: int, rank: int, prepared: bool) -> None:
    small = forecast(size, rank, LADDER, prepared=prepared)
    for large in (
        forecast(2 * size, rank, LADDER, prepared=prepared),
        forecast(size, 2 * rank, LADDER, prepared=prepared),
        forecast(size, rank, LADDER, prepared=False),
    ):
        assert large.disk_bytes >= small.disk_bytes
        assert large.memory_bytes >= small.memory_bytes


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_room_for_exactly_the_forecast_is_enough(disk: int, memory: int) -> None:
    wanted = Forecast(disk, memory)
    assert shortage(wanted, Room(disk, memory, memory)) is None
    if disk:
        assert shortage(wanted, Room(disk - 1, memory, memory))
    if memory:
        assert shortage(wanted, Room(disk, memory - 1, memory))


def test_what_is_short_now_is_said_with_figures() -> None:
    room = Room(disk_free_bytes=GB, memory_available_bytes=8 * GB, memory_total_bytes=16 * GB)
    with pytest.raises(Shortage, match=r"no room for a lesson: disk: 3\.0 GB needed, 1\.0 GB free"):
        require_room(Forecast(3 * GB, 2 * GB), room)


def test_a_machine_that_is_too_small_is_told_what_would_fit() -> None:
    room = Room(100 * GB, 6 * GB, 8 * GB)
    with pytest.raises(Shortage, match="too small for a lesson on this base") as error:
        require_room(forecast(7 * GB, 16, LADDER, prepared=True), room)
    assert "up to 3.3 billion parameters" in error.value.hint
    fits = forecast(int(3.3 * GB), 1, LADDER, prepared=True)
    assert fits.memory_bytes <= room.memory_total_bytes
