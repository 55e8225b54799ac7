"""How the monitor says things."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shammah.protocol import EngineStatus, InboxKind, JobEvent, JobView, Status, StepView
from shammah.records import JobState, Mode
from shammah_tui import wording

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("iso", "said"),
    [
        (None, ""),
        ("", ""),
        ("2026-11-21T08:05:59+00:00", "08:05"),
        ("2026-11-20T23:59:00+00:00", "20 Nov"),
        ("2026-11-20T22:30:00-02:00", "00:30"),
    ],
)
def test_a_moment_is_a_time_today_and_a_date_before(iso: str | None, said: str) -> None:
    assert wording.moment(iso, NOW) == said


@pytest.mark.parametrize(
    ("state", "rail"),
    [
        ("queued", "○ preparing → ○ training → ○ merging → ○ quantizing → ○ judging"),
        ("merging", "✓ preparing → ✓ training → ● merging → ○ quantizing → ○ judging"),
    ],
)
def test_the_rail_marks_what_is_done_and_what_runs(state: str, rail: str) -> None:
    assert wording.stage_rail(state).plain == rail


def test_the_log_of_a_job_says_how_long_each_state_took() -> None:
    events = [
        JobEvent(id=1, job_id=1, at="2026-11-21T12:00:00+00:00", kind="state",
                 data={"state": "training"}),
        JobEvent(id=2, job_id=1, at="2026-11-21T12:01:05+00:00", kind="state",
                 data={"state": "failed", "summary": "", "error": "no  memory", "hint": "rest"}),
    ]  # fmt: skip
    assert wording.job_log(events, NOW) == [
        "12:00:00 training 1 min 05 s",
        "12:01:05 failed",
        "         no memory",
        "         rest",
    ]


def test_training_is_told_by_its_ends() -> None:
    steps = [
        StepView(step=1, loss=3.0, nll=3.0, kl=0.0, learning_rate=1e-3),
        StepView(step=2, loss=2.0, nll=2.0, kl=0.0, learning_rate=2e-3, held_out_nll=1.5),
        StepView(step=3, loss=0.5, nll=0.5, kl=0.0, learning_rate=1e-3, held_out_nll=1.25),
    ]
    assert wording.trained(steps) == (
        "3 steps · loss 3.000 → 0.500 · held-out loss 1.500 → 1.250 · learning rate up to 2.0e-03"
    )


def test_progress_is_told_in_two_lines() -> None:
    progress = {
        "stage": "training", "fraction": 0.5, "step": 2, "steps": 4, "loss": 0.25,
        "held_out_loss": None, "learning_rate": 0.001, "gradient_norm": 1.5,
        "tokens_per_second": 812.3, "seconds_left": 12.0,
    }  # fmt: skip
    assert wording.course(progress) == "step 2/4 · loss 0.250"
    assert wording.rates(progress) == (
        "learning rate 1.0e-03 · gradient norm 1.50 · 812 tokens/s · 12 s left"
    )


@pytest.mark.parametrize(
    ("waiting", "said"),
    [
        ({}, ""),
        ({"draft": 1}, "1 draft waits for you"),
        ({"secret": 2, "draft": 1}, "2 secrets · 1 draft wait for you"),
    ],
)
def test_what_waits_is_counted(waiting: dict[InboxKind, int], said: str) -> None:
    assert wording.inbox(waiting) == said


def test_a_lesson_that_has_begun_is_not_said_to_be_due() -> None:
    due = Status(
        version="1", pid=1, uptime_seconds=1.0, base=None, active_version=0,
        engine=EngineStatus(state="ready"), examples={}, waiting=10, missing=0,
        threshold=10, job=None, last_job=None, preparation=None, home="/h", log_file="/l",
    )  # fmt: skip
    job = JobView(
        id=4, base="tiny", mode=Mode.CONSOLIDATE, state=JobState.TRAINING, attempt=1, version=None,
        error=None, hint=None, created_at="", started_at="", finished_at=None, progress={},
        report=None,
    )  # fmt: skip
    assert wording.until_next_lesson(due) == "the next lesson is due"
    assert wording.until_next_lesson(due.model_copy(update={"job": job})) == "job 4"
