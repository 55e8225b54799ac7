"""The line under the prompt, on wide and narrow terminals."""

from __future__ import annotations

import pytest

from shammah.protocol import EngineStatus, Status
from shammah.repl.bar import Part, Talk, fitted, line

TALK = Talk(speed=98.4, context_tokens=1024, can_judge=True)
NOTHING = Talk(speed=None, context_tokens=0, can_judge=False)


def status(state: str = "ready") -> Status:
    return Status(
        version="1", pid=1, uptime_seconds=1.0, base="smollm2-135m-instruct", active_version=3,
        engine=EngineStatus(state=state, context_tokens=4096), examples={}, waiting=0, missing=7,
        threshold=10, job=None, last_job=None, preparation=None, home="/h", log_file="/l",
    )  # fmt: skip


def test_everything_is_said_where_there_is_room() -> None:
    assert line(status(), None, TALK, 200) == (
        "smollm2-135m-instruct · version 3 · 7 more until the next lesson · context 25% · "
        "98 tokens/s · Alt-g good · Alt-m medium · Alt-c critical"
    )


def test_eighty_columns_hold_everything_in_short() -> None:
    said = line(status(), None, TALK, 80)
    assert said == "smollm2-135m-instruct · version 3 · 7 to lesson · ctx 25% · 98 t/s · Alt-g/m/c"
    assert len(said) <= 80


def test_a_running_job_takes_the_place_of_the_next_lesson() -> None:
    progress = {"stage": "training", "fraction": 0.43, "seconds_left": 12.0}
    assert "· job: training 43%, 12 s left ·" in line(status(), progress, TALK, 200)
    assert "· waiting" in line(status(), {}, NOTHING, 45)


@pytest.mark.parametrize("columns", range(40, 140, 5))
def test_it_never_takes_more_columns_than_there_are(columns: int) -> None:
    assert len(line(status("loading"), None, TALK, columns)) <= max(columns, 55)


def test_what_matters_least_gives_way_first() -> None:
    parts = [Part(("base",)), Part(("version 3", "v3", "")), Part(("keys", "k", ""))]
    said = [fitted(parts, columns) for columns in (30, 20, 18, 12, 8, 1)]
    assert said == [
        "base · version 3 · keys",
        "base · version 3 · k",
        "base · v3 · k",
        "base · v3",
        "base",
        "base",
    ]


def test_without_a_daemon_it_says_so() -> None:
    assert line(None, None, NOTHING, 80) == "no daemon"
