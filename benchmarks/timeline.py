"""Where a job's seconds go, read off the timestamps of its events. Knows no daemon."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from shammah.protocol import JobEvent
from shammah.records import FINAL_STATES, JobState

RECORDING = "recording the correction"
STARTING = "training: start, to the end of step 1"
STEPPING = "training: the other steps"
SWAPPING = "swap"

#: Stages in the order in which a job goes through them. One that runs again on the next rung of
#: the quantization ladder adds to the same line.
STAGES = (
    RECORDING,
    JobState.QUEUED,
    JobState.PREPARING,
    STARTING,
    STEPPING,
    JobState.MERGING,
    JobState.QUANTIZING,
    JobState.JUDGING,
    SWAPPING,
)


def stage_seconds(began: datetime, events: Sequence[JobEvent]) -> dict[str, float]:
    """Seconds of each stage from `began` to the job's final event; stages in order.

    Args:
        began: when the last correction was sent.
        events: all events of one job that has ended, in order.
    """
    marks = [(began, RECORDING), *_marks(events)]
    spent = dict.fromkeys(map(str, STAGES), 0.0)
    for (start, stage), (end, _next) in pairwise(marks):
        spent[stage] = spent.get(stage, 0.0) + (end - start).total_seconds()
    return {stage: seconds for stage, seconds in spent.items() if seconds}


def _marks(events: Sequence[JobEvent]) -> list[tuple[datetime, str]]:
    """When each stage began; the last mark is the end."""
    marks: list[tuple[datetime, str]] = []
    judged = max((i for i, event in enumerate(events) if _is_judged(event)), default=-1)
    stepping = False
    for index, event in enumerate(events):
        at = datetime.fromisoformat(event.at)
        if event.kind == "state":
            state = JobState(event.data["state"])
            marks.append((at, STARTING if state is JobState.TRAINING else state.value))
            if state in FINAL_STATES:
                break
        elif event.data["stage"] == "training" and not stepping:
            stepping = True
            marks.append((at, STEPPING))
        elif index == judged:
            marks.append((at, SWAPPING))
    return marks


def _is_judged(event: JobEvent) -> bool:
    """The judge has its report: what follows is the version's files and the swap."""
    data = event.data
    return event.kind == "progress" and data["stage"] == "judging" and data["fraction"] >= 1
