"""How the monitor says things."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

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
