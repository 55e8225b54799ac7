"""Failures are told apart, and each has its remedy, until there is none left."""

from __future__ import annotations

from pathlib import Path

import pytest

from shammah.errors import (
    BaseModelError,
    DiskFull,
    EngineCrashed,
    JobError,
    NotFinite,
    ShammahError,
    StorageError,
)
from shammah.records import JobState, Tried
from shammah.training.spec import Adjustments
from shammah_daemon.remedies import (
    ADVICE,
    Failure,
    adjustments,
    classify,
    remedy,
)
from shammah_daemon.stages import ChildKilled, oom_kills


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (ShammahError("MemoryError: "), Failure.OUT_OF_MEMORY),
        (ShammahError("OutOfMemoryError: CUDA out of memory. Tried"), Failure.OUT_OF_MEMORY),
        (
            ShammahError("RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory"),
            Failure.OUT_OF_MEMORY,
        ),
        (ChildKilled("signal 9", short_of_memory=True), Failure.OUT_OF_MEMORY),
        (ChildKilled("signal 9"), Failure.KILLED),
        (EngineCrashed("the engine ended"), Failure.KILLED),
        (DiskFull("the disk is full"), Failure.DISK_FULL),
        (
            ShammahError("SafetensorError: I/O error: No space left on device (os error 28)"),
            Failure.DISK_FULL,
        ),
        (StorageError("cannot write x: Input/output error"), Failure.IO_ERROR),
        (ShammahError("SafetensorError: Input/output error (os error 5)"), Failure.IO_ERROR),
        (NotFinite("the loss became nan"), Failure.NOT_FINITE),
        (ShammahError("AcceleratorError: CUDA error: unspecified launch"), Failure.LOST_GPU),
        (JobError("job 1 has no rows to train on"), Failure.BAD_DATA),
        (BaseModelError("no such tensor"), Failure.BAD_DATA),
        (ShammahError("ZeroDivisionError: division by zero"), Failure.UNKNOWN),
    ],
)
def test_failures_are_told_apart(error: ShammahError, failure: Failure) -> None:
    assert classify(error) is failure


def try_all(failure: Failure, stage: JobState = JobState.TRAINING) -> list[Tried]:
    """Every remedy there is for a failure that comes again each time."""
    tried: list[Tried] = []
    while cure := remedy(failure, stage, tried):
        tried.append(Tried(stage, failure, "again", cure.change, cure.said))
        assert len(tried) <= 3
    return tried


def test_memory_is_saved_step_by_step_and_what_was_changed_stays() -> None:
    tried = try_all(Failure.OUT_OF_MEMORY)
    assert [adjustments(tried[:count]) for count in range(4)] == [
        Adjustments(),
        Adjustments(divided=2),
        Adjustments(divided=2, recompute=True),
        Adjustments(divided=2, recompute=True, shorter=True),
    ]


def test_a_loss_that_is_no_number_halves_the_learning_rate() -> None:
    assert [adjustments([one]).rate for one in try_all(Failure.NOT_FINITE)] == [0.5, 0.25]


@pytest.mark.parametrize("failure", [Failure.KILLED, Failure.IO_ERROR, Failure.LOST_GPU])
def test_what_may_pass_is_tried_three_times_in_all(failure: Failure) -> None:
    assert [one.change for one in try_all(failure)] == [{}, {}]


def test_what_is_bad_stays_bad() -> None:
    assert try_all(Failure.BAD_DATA) == []


def test_stages_without_a_choice_are_tried_again_as_they_were() -> None:
    assert [one.change for one in try_all(Failure.OUT_OF_MEMORY, JobState.MERGING)] == [{}, {}]


def test_remedies_of_one_failure_leave_those_of_another() -> None:
    tried = try_all(Failure.KILLED)
    cure = remedy(Failure.OUT_OF_MEMORY, JobState.TRAINING, tried)
    assert cure is not None
    assert cure.change == {"divided": 2}


def test_every_failure_that_can_be_final_has_an_advice() -> None:
    assert ADVICE.keys() == set(Failure) - {Failure.DISK_FULL}


def test_what_failed_in_one_stage_does_not_count_in_another() -> None:
    tried = try_all(Failure.OUT_OF_MEMORY)
    assert remedy(Failure.OUT_OF_MEMORY, JobState.TRAINING, tried) is None
    cure = remedy(Failure.OUT_OF_MEMORY, JobState.MERGING, tried)
    assert cure is not None
    assert cure.change == {}


def test_the_kernel_says_how_often_it_has_killed(tmp_path: Path) -> None:
    counters = tmp_path / "vmstat"
    counters.write_text("pgfault 7\noom_kill 3\noom_kill_other 9\n")
    assert oom_kills(counters) == 3
    assert oom_kills(tmp_path / "none") == 0
