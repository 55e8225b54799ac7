"""A lesson is estimated before it begins and measured when it has ended."""

from __future__ import annotations

import pytest

from shammah.client import Client
from shammah.records import JobEvent, JobState, Mode
from shammah_daemon.estimates import seconds_by_state
from tests.asking import correct, finished


def state(at: str, name: JobState) -> JobEvent:
    return JobEvent(0, 1, f"2026-05-04T10:00:{at}+00:00", "state", {"state": name})


def test_the_time_in_a_state_is_added_up_and_the_last_one_lasts_to_the_end() -> None:
    events = [
        state("00", JobState.QUEUED),
        state("01", JobState.TRAINING),
        JobEvent(0, 1, "2026-05-04T10:00:02+00:00", "progress", {"stage": "training"}),
        state("11", JobState.PAUSED),
        state("20", JobState.TRAINING),
        state("25", JobState.JUDGING),
    ]
    spent = seconds_by_state(events, "2026-05-04T10:00:28+00:00")
    assert spent[JobState.TRAINING] == 15
    assert spent[JobState.PAUSED] == 9
    assert spent[JobState.JUDGING] == 3
    assert JobState.JUDGING not in seconds_by_state(events, None)


def test_before_anything_is_taught_there_is_a_plan_and_no_estimate(client: Client) -> None:
    found = client.plan()
    assert found.estimate is None
    assert found.predicted_bytes > 0
    assert {line.name for line in found.lines} >= {"device", "precision", "micro-batch", "memory"}
    assert all(line.reason for line in found.lines)


@pytest.mark.timeout(240)
def test_a_job_has_its_estimate_and_then_what_it_took(client: Client) -> None:
    correct(client, 0)
    expected = client.plan().estimate
    assert expected is not None
    queued = client.train(Mode.CONSOLIDATE)
    assert queued.estimate == expected
    took = finished(client, queued.id).took
    assert took is not None
    assert took.basis == "measured"
    assert took.seconds > took.training_seconds > 0
    assert min(took.memory_bytes, took.disk_bytes, took.tokens) > 0
    later = client.plan().estimate
    assert later is not None
    assert later.basis == f"the pace of job {queued.id}"
