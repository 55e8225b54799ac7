"""How a job's state is said: paused by whom, unheard of for how long, and what was tried."""

from __future__ import annotations

from datetime import datetime

import pytest

from shammah.protocol import JobView, TriedView
from shammah.records import JobState, Mode, PauseReason
from shammah.repl import views
from shammah.repl.wording import job_state

NOON = datetime.fromisoformat("2026-03-01T12:00:00+00:00")


def job(state: JobState, paused_for: PauseReason | None = None) -> JobView:
    return JobView(
        id=4, base="tiny", mode=Mode.QUICK, state=state, attempt=2, version=None, error=None,
        hint=None, created_at="", started_at="", finished_at=None, progress={}, report=None,
        stage=JobState.TRAINING, paused_for=paused_for, heartbeat_at="2026-03-01T11:48:00+00:00",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (PauseReason.USER, "'shammah jobs resume 4' goes on"),
        (PauseReason.POLICY, "when the machine has time"),
        (PauseReason.SPACE, "the disk is full"),
    ],
)
def test_a_paused_job_says_how_it_goes_on(reason: PauseReason, said: str) -> None:
    assert job_state(job(JobState.PAUSED, reason)).startswith("paused while training: ")
    assert said in job_state(job(JobState.PAUSED, reason))


def test_a_job_that_is_not_heard_of_is_remarked_upon() -> None:
    assert "no sign of life for 12 min" in job_state(job(JobState.TRAINING), NOON)
    assert job_state(job(JobState.QUEUED), NOON) == "queued"
    heard = job(JobState.TRAINING).model_copy(update={"heartbeat_at": NOON.isoformat()})
    assert job_state(heard, NOON) == "training"


def test_a_failed_job_tells_what_was_tried() -> None:
    tried = TriedView(
        stage=JobState.TRAINING, failure="out of memory", message="signal 9", said="half the rows"
    )
    failed = job(JobState.FAILED).model_copy(update={"tried": [tried]})
    assert "tried: out of memory while training (signal 9); then half the rows" in views.job(failed)
