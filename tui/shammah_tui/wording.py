"""How figures, moments and jobs are said on the screen; pure, knows no widget."""

from __future__ import annotations

from datetime import datetime

from textual.content import Content

from shammah.protocol import BaseView, EngineStatus, JobView, Status, VersionView
from shammah.wording import count, one_line, size

#: The stages of a job in their order (DESIGN §8).
STAGES = ("preparing", "training", "merging", "quantizing", "judging")

#: The colour of a job's state, where it has one.
STATE_COLOURS = {
    "promoted": "$text-success",
    "rejected": "$text-warning",
    "failed": "$text-error",
    "cancelled": "dim",
}


def uptime(seconds: float) -> str:
    """Whole minutes: a figure that changes every second draws the eye to nothing."""
    if seconds < 60:
        return "just started"
    minutes = int(seconds // 60)
    return f"up {minutes} min" if minutes < 60 else f"up {minutes // 60} h {minutes % 60:02d} min"


def moment(iso: str | None, now: datetime) -> str:
    """`14:02` today, else `21 Nov`; in the time zone of `now`."""
    if not iso:
        return ""
    then = datetime.fromisoformat(iso).astimezone(now.tzinfo)
    return f"{then:%H:%M}" if then.date() == now.date() else f"{then:%d %b}"


def base(name: str | None) -> str:
    return one_line(name) or "none: 'shammah model add PATH.gguf' adds one"


def version(number: int, active: VersionView | None) -> str:
    """`3 · Q6_K · 112 MB`; version 0 is the base itself."""
    said = str(number) if number else "0, the base"
    return f"{said} · {active.quantization} · {size(active.size_bytes)}" if active else said


def engine(status: EngineStatus) -> str:
    parts: list[str] = [status.state]
    if status.problem:
        parts.append(one_line(status.problem))
    if status.memory_bytes is not None:
        parts.append(size(status.memory_bytes))
    if status.active_requests:
        parts.append(count(status.active_requests, "request"))
    return " · ".join(parts)


def daemon(status: Status) -> str:
    return f"pid {status.pid} · {uptime(status.uptime_seconds)}"


def examples(by_status: dict[str, int]) -> str:
    return " · ".join(f"{number} {name}" for name, number in by_status.items()) or "none yet"


def until_next_lesson(status: Status) -> str:
    if status.missing <= 0:
        return "the next lesson is due"
    gathered = status.threshold - status.missing
    return f"{gathered} of {status.threshold} · {status.missing} more start a lesson"


def teachability(view: BaseView | None) -> str:
    """Why no lesson can begin yet; nothing when it can."""
    if view is None or view.prepared == "ready":
        return ""
    if view.problem:
        return f"cannot be taught: {one_line(view.problem)}"
    return "being prepared for lessons"


def job_title(job: JobView | None) -> str:
    return f"Job {job.id} · {job.mode} · {job.state}" if job else "Job"


def stage_rail(state: str) -> Content:
    """`✓ preparing → ● training → ○ merging …`; nothing is marked before the first stage."""
    position = STAGES.index(state) if state in STAGES else -1
    parts: list[Content] = []
    for index, stage in enumerate(STAGES):
        mark, style = _stage_mark(index, position)
        parts.append(Content.styled(f"{mark} {stage}", style))
    return Content.styled(" → ", "dim").join(parts)


def _stage_mark(index: int, position: int) -> tuple[str, str]:
    if index < position:
        return "✓", "$text-success"
    return ("●", "bold $text-accent") if index == position else ("○", "dim")


def result(job: JobView) -> str:
    """How the job ended, in a sentence; nothing while it has not."""
    return one_line(job.summary or job.error)


def last_job(job: JobView) -> Content:
    outcome = Content.styled(f"job {job.id} {job.state}", STATE_COLOURS.get(job.state, ""))
    sentence = result(job)
    return outcome + Content(f": {sentence}") if sentence else outcome
