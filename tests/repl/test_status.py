"""What `status` says of the examples that wait."""

from __future__ import annotations

import pytest

from shammah.protocol import EngineStatus, Status
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
