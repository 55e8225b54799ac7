"""Sentences about jobs, progress and errors."""

from __future__ import annotations

import pytest

from shammah.errors import UsageError
from shammah.protocol import JobEvent
from shammah.repl.wording import job_end, progress_short
from shammah.wording import duration, error_lines, one_line, printable, progress_details


def event(kind: str, **data: object) -> JobEvent:
    return JobEvent(id=1, job_id=3, at="", kind=kind, data=data)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (
            {"state": "promoted", "summary": "learned 9 of 10. Version 2 answers now."},
            "job 3: learned 9 of 10. Version 2 answers now.",
        ),
        (
            {"state": "failed", "summary": "The lesson failed: no room.", "error": "no room"},
            "job 3: The lesson failed: no room.",
        ),
        ({"state": "cancelled", "summary": ""}, "job 3: cancelled"),
        ({"state": "training"}, None),
    ],
)
def test_the_end_of_a_job(data: dict[str, object], line: str | None) -> None:
    assert job_end(event("state", **data)) == line


def test_progress_is_no_end() -> None:
    assert job_end(event("progress", stage="training", fraction=1.0)) is None


def test_progress_says_what_is_known() -> None:
    data = {
        "stage": "training",
        "fraction": 0.43,
        "step": 26,
        "steps": 60,
        "loss": 0.4142,
        "tokens_per_second": 655.7,
        "seconds_left": 12.3,
    }
    assert progress_details(data) == "step 26/60 · loss 0.414 · 656 tokens/s · 12 s left"
    assert progress_short(data) == "training 43%, 12 s left"
    assert (progress_details({}), progress_short({})) == ("", "")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_control_characters_are_removed_and_text_is_kept() -> None:
    assert printable("a\x1b[2Jb\r\x9bc\nd\té 漢 🙂") == "a[2Jbc\nd\té 漢 🙂"
    assert one_line(" a\n\tb ") == "a b"


def test_an_error_without_a_hint_is_one_line() -> None:
    assert error_lines(UsageError("bad")) == ["error: bad"]
    assert error_lines(UsageError("bad", hint="good")) == ["error: bad", "hint: good"]
