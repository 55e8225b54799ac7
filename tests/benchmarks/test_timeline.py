"""Seconds of each stage from a job's events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from benchmarks.timeline import RECORDING, STARTING, STEPPING, SWAPPING, stage_seconds
from shammah.protocol import JobEvent

BEGAN = datetime(2030, 1, 1, tzinfo=UTC)


def events(*happened: tuple[float, str | dict[str, Any]]) -> list[JobEvent]:
    """(seconds after BEGAN, a state or the data of a progress event)."""
    return [
        JobEvent(
            id=number,
            job_id=1,
            at=(BEGAN + timedelta(seconds=after)).isoformat(),
            kind="state" if isinstance(what, str) else "progress",
            data={"state": what} if isinstance(what, str) else what,
        )
        for number, (after, what) in enumerate(happened, 1)
    ]


def progress(stage: str, fraction: float) -> dict[str, Any]:
    return {"stage": stage, "fraction": fraction}


def test_every_second_from_the_correction_to_the_end_is_in_one_stage() -> None:
    spent = stage_seconds(
        BEGAN,
        events(
            (0.5, "queued"), (0.6, "preparing"), (1.6, "training"),
            (4.0, progress("training", 0.1)), (9.0, progress("training", 1.0)),
            (9.5, "merging"), (10.5, "quantizing"), (11.0, "judging"),
            (12.0, progress("judging", 0.6)), (14.0, progress("judging", 1.0)),
            (14.25, "promoted"),
        ),
    )  # fmt: skip
    assert list(spent) == [
        RECORDING, "queued", "preparing", STARTING, STEPPING, "merging", "quantizing", "judging",
        SWAPPING,
    ]  # fmt: skip
    assert list(spent.values()) == pytest.approx([0.5, 0.1, 1.0, 2.4, 5.5, 1.0, 0.5, 3.0, 0.25])
    assert sum(spent.values()) == pytest.approx(14.25)


def test_a_second_rung_of_the_ladder_adds_to_the_same_stages() -> None:
    spent = stage_seconds(
        BEGAN,
        events(
            (0.0, "quantizing"), (1.0, "judging"), (3.0, progress("judging", 1.0)),
            (3.0, "quantizing"), (5.0, "judging"), (9.0, progress("judging", 1.0)),
            (9.5, "promoted"),
        ),
    )  # fmt: skip
    assert spent == pytest.approx({"quantizing": 3.0, "judging": 6.0, SWAPPING: 0.5})
