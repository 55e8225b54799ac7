"""How jobs and progress are said in one line; pure, prints nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from shammah.protocol import JobEvent, JobView, RollbackProposal, ShammahInfo
from shammah.records import WORKING_STATES, JobState, PauseReason
from shammah.wording import count, duration, one_line

#: Questions that are named when a job has ended, and how much of each.
_NAMED_QUESTIONS = 3
_QUESTION_LETTERS = 60


def listed(numbers: Iterable[int]) -> str:
    """`1, 2, 5`."""
    return ", ".join(map(str, numbers))


def remarks(info: ShammahInfo) -> list[str]:
    """What the user should know of how an answer came about."""
    lines = []
    if info.injected:
        lines.append(
            f"your correction helped: example {listed(info.injected)}, not learned yet (/why)"
        )
    if info.dropped_messages:
        dropped = count(info.dropped_messages, "oldest message")
        lines.append(f"{dropped} left out: the context is full (/clear begins a new one)")
    return lines


def progress_short(progress: dict[str, Any]) -> str:
    """`training 43 %, 12 s left`, or nothing before the first progress event."""
    if "stage" not in progress:
        return ""
    text = f"{progress['stage']} {progress.get('fraction', 0.0):.0%}"
    left = progress.get("seconds_left")
    return text if left is None else f"{text}, {duration(left)} left"


def job_end(event: JobEvent) -> str | None:
    """The line that tells that a job has ended; None for an event that is not an end."""
    state = event.data.get("state")
    if event.kind != "state" or state is None or not JobState(state).is_final:
        return None
    return _end(event.job_id, event.data.get("summary") or state)


def job_view_end(job: JobView) -> str:
    """The same line from the job itself."""
    return _end(job.id, job.summary or job.state)


def job_news(job: JobView, wrong: Sequence[str]) -> str:
    """How a job ended, for the chat: the line above, and the questions that are still wrong."""
    line = job_view_end(job)
    if not wrong:
        return line
    named = "; ".join(_clipped(one_line(question)) for question in wrong[:_NAMED_QUESTIONS])
    more = len(wrong) - _NAMED_QUESTIONS
    rest = f"; and {more} more" if more > 0 else ""
    return f"{line}\n  still wrong: {named}{rest} (shammah jobs show {job.id} --html)"


def _clipped(text: str) -> str:
    return text if len(text) <= _QUESTION_LETTERS else text[: _QUESTION_LETTERS - 1] + "…"


def _end(job_id: int, summary: str) -> str:
    """`job 3: learned 9 of 10; 1 still wrong. Version 2 answers now.`"""
    return f"job {job_id}: {summary}"


_PAUSED_FOR = {
    PauseReason.USER: "'shammah jobs resume {id}' goes on",
    PauseReason.POLICY: "it goes on by itself when the machine has time",
    PauseReason.SPACE: "the disk is full, it goes on by itself when there is space",
}

#: Unheard of for longer than this, the work on a job is remarked upon.
SILENT_SECONDS = 120.0


def job_state(job: JobView, now: datetime | None = None) -> str:
    """`training`, `paused while training: ...`, `training, no sign of life for 12 min 00 s`."""
    if job.state is JobState.PAUSED:
        where = f" while {job.stage}" if job.stage else ""
        why = _PAUSED_FOR[job.paused_for].format(id=job.id) if job.paused_for else ""
        return f"paused{where}: {why}"
    if job.state not in WORKING_STATES or job.heartbeat_at is None:
        return str(job.state)
    heard = datetime.fromisoformat(job.heartbeat_at)
    silence = ((now or datetime.now(UTC)) - heard).total_seconds()
    if silence < SILENT_SECONDS:
        return str(job.state)
    return f"{job.state}, no sign of life for {duration(silence)}"


def proposal_line(proposal: RollbackProposal) -> str:
    """`/rollback to version 3: 2 lessons that it was taught had to be corrected again`."""
    return f"/rollback to version {proposal.leads_to}: {proposal.reason}"


def until_next_lesson(missing: int) -> str:
    return "the next lesson is due" if missing <= 0 else f"{missing} more until the next lesson"
