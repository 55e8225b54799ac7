"""The forecast of what a lesson takes, and what is said where it does not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shammah.errors import Shortage
from shammah.training.planning import Machine
from shammah.training.sizing import Shape
from shammah_daemon.schedule.conditions import multiplies_bf16
from shammah_daemon.schedule.forecast import (
    Forecast,
    Room,
    forecast,
    largest,
    require_room,
    shortage,
)

GB = 10**9
BF16, FLOAT32 = (Machine("cpu", "", 0, 0, bf16=bf16) for bf16 in (True, False))
GPU = Machine("cuda", "H", 80 * GB, 80 * GB, bf16=True)


def of_size(
    size: int,
    rank: int = 16,
    machines: tuple[Machine, ...] = (BF16,),
    *,
    prepared: bool = True,
) -> Forecast:
    return forecast(Shape.typical(size), machines, rank, ["Q6_K", "Q8_0"], prepared=prepared)


@given(st.integers(10**6, 10**11), st.integers(1, 256), st.booleans())
def test_a_larger_base_or_rank_never_takes_less(size: int, rank: int, bf16: bool) -> None:
    machines = (BF16 if bf16 else FLOAT32,)
    small = of_size(size, rank, machines)
    for large in (
        of_size(2 * size, rank, machines),
        of_size(size, 2 * rank, machines),
        of_size(size, rank, machines, prepared=False),
    ):
        assert large.disk_bytes >= small.disk_bytes
        assert large.memory_bytes >= small.memory_bytes


def test_the_embedded_base_takes_at_least_what_was_measured_on_it() -> None:
    """A checkpoint of 58.6 MB at rank 16; 1.3 GB for a training child that recomputes."""
    found = of_size(134_500_000)
    assert 1e9 < found.memory_bytes < 2e9
    assert found.disk_bytes > 5 * 58.6e6 + 134.5e6 * (2 + 2 * 8.5 / 8)


def test_gpus_that_divide_a_base_hold_what_one_cannot() -> None:
    small = Machine("cuda", "H", 16 * GB, 14 * GB, bf16=True)
    shape, machines = Shape.typical(8 * 10**9), (small, BF16)
    alone, together = (
        forecast(shape, machines, 16, ["Q8_0"], prepared=True, shards=shards) for shards in (1, 4)
    )
    assert alone.memory_bytes > 16 * GB > together.memory_bytes


def test_what_trains_on_a_gpu_does_not_fill_the_memory_of_the_host() -> None:
    beside = of_size(3 * 10**9, machines=(GPU, BF16))
    assert beside.memory_bytes < of_size(3 * 10**9).memory_bytes
    full = replace(GPU, free_bytes=GB)  # then the processor trains
    assert of_size(3 * 10**9, machines=(full, BF16)) == of_size(3 * 10**9)


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
        require_room(Forecast(3 * GB, 2 * GB), room, of_size)


@given(st.integers(2 * GB, 200 * GB))
def test_a_machine_that_is_too_small_is_told_the_largest_base_that_fits(memory: int) -> None:
    fits = largest(memory, of_size)
    assert of_size(fits).memory_bytes <= memory < of_size(int(fits * 1.02)).memory_bytes
    with pytest.raises(Shortage, match="too small for a lesson on this base") as error:
        require_room(of_size(2 * fits), Room(10**15, memory, memory), of_size)
    assert f"up to {fits / 1e9:.2f} billion parameters" in error.value.hint


def test_a_machine_for_which_there_is_no_base_is_told_so() -> None:
    with pytest.raises(Shortage) as error:
        require_room(of_size(10**9), Room(10**15, GB // 4, GB // 4), of_size)
    assert error.value.hint == "no base can be taught here"


@pytest.mark.parametrize(
    ("flags", "native"), [("fpu avx512_bf16 sse", True), ("amx_tile", True), ("avx2 fma", False)]
)
def test_the_processor_says_whether_it_multiplies_bfloat16(
    tmp_path: Path, flags: str, native: bool
) -> None:
    (tmp_path / "cpuinfo").write_text(f"flags\t: {flags}\n")
    assert multiplies_bf16(tmp_path / "cpuinfo") is native
    assert not multiplies_bf16(tmp_path / "not Linux")
