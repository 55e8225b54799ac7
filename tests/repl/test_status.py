"""What `status` says of the examples that wait."""

from __future__ import annotations

import pytest

from shammah.protocol import EngineStatus, JobView, Status
from shammah.records import JobState, Mode
from shammah.repl import views


def status(waiting: int, missing: int) -> Status:
    return Status(
        version="1", pid=1, uptime_seconds=1.0, base=None, active_version=0,
        engine=EngineStatus(state="ready"), examples={}, waiting=waiting, missing=missing,
        threshold=10, job=None, last_job=None, preparation=None, home="/h", log_file="/l",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("waiting", "missing", "said"),
    [
        (3, 7, "7 more until the next lesson (3 of 10 so far)"),
        (12, 0, "the next lesson is due (10 of 10 so far)"),
        (10, 10, "10 more until the next lesson (0 of 10 so far); 10 that the last one tried"),
    ],
)
def test_tried_examples_are_told_from_new_ones(waiting: int, missing: int, said: str) -> None:
    assert said in views.status(status(waiting, missing))


def test_a_lesson_that_has_begun_is_not_said_to_be_due() -> None:
    begun = JobView(
        id=4, base="tiny", mode=Mode.CONSOLIDATE, state=JobState.TRAINING, attempt=1, version=None,
        error=None, hint=None, created_at="", started_at="", finished_at=None, progress={},
        report=None,
    )  # fmt: skip
    said = views.status(status(12, 0).model_copy(update={"job": begun}))
    assert "due" not in said
    assert "training" in said
