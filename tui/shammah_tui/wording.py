"""How figures, moments and jobs are said on the screen; pure, knows no widget."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Any

from textual.content import Content

from shammah.protocol import (
    BaseView,
    DiskView,
    EngineStatus,
    ForecastView,
    InboxKind,
    JobEvent,
    JobView,
    Status,
    StepView,
    TriedView,
    VersionView,
    VotesView,
)
from shammah.records import PauseReason
from shammah.wording import count, duration, one_line, size

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


def soon(iso: str) -> str:
    """`03:00 on 22 Nov`, as the daemon gave it in its local time."""
    return f"{datetime.fromisoformat(iso):%H:%M on %d %b}"


def base(name: str | None) -> str:
    return one_line(name) or "none: 'shammah model add PATH.gguf' adds one"


def version(number: int, active: VersionView | None) -> str:
    """`3 · Q6_K · 112 MB`; version 0 is the base itself."""
    said = str(number) if number else "0, the base"
    return f"{said} · {active.quantization} · {size(active.size_bytes)}" if active else said


def votes(view: VotesView) -> str:
    """`3 won, 1 lost`; nothing before the first comparison."""
    if not (view.won or view.lost or view.tied):
        return ""
    return f"{view.won} won, {view.lost} lost" + (f", {view.tied} tied" if view.tied else "")


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
    parts = [f"{number} {name}" for name, number in by_status.items() if number]
    return " · ".join(parts) or "none yet: mark an answer in the chat"


def inbox(waiting: dict[InboxKind, int]) -> str:
    """`2 drafts · 1 contradiction wait for you`; nothing when nothing does."""
    if not waiting:
        return ""
    parts = [count(number, kind) for kind, number in waiting.items()]
    return " · ".join(parts) + (" waits" if sum(waiting.values()) == 1 else " wait") + " for you"


def until_next_lesson(status: Status) -> str:
    if status.missing <= 0:
        return f"job {status.job.id}" if status.job else "the next lesson is due"
    gathered = status.threshold - status.missing
    return f"{gathered} of {status.threshold} · {status.missing} more start a lesson"


def next_job(status: Status) -> Content:
    """Why no job runs, what starts one, and how the last one ended."""
    if status.base is None:
        lines = [Content("none: there is no base to teach")]
    elif status.preparation is not None and status.preparation.prepared != "ready":
        lines = [Content(f"none: {teachability(status.preparation)}")]
    elif not status.waiting:
        lines = [Content("none: the model has learned every ready example")]
    else:
        lines = [Content(_awaited(status))]
    if status.next_night:
        lines.append(Content(f"the night's lesson is due at {soon(status.next_night)}"))
    lines.append(ended_job(status.last_job) if status.last_job else Content("no job has ended yet"))
    return Content("\n").join(lines)


def _awaited(status: Status) -> str:
    """`waits for 9 more examples; 3 not learned yet, 2 of them tried before; t trains now`."""
    if status.missing <= 0:
        return "due"
    tried = status.waiting - (status.threshold - status.missing)
    return (
        f"waits for {count(status.missing, 'more example')}; {status.waiting} not learned yet"
        + (f", {tried} of them tried before" if tried > 0 else "")
        + "; t trains now"
    )


def teachability(view: BaseView | None) -> str:
    """Why no lesson can begin yet; nothing when it can."""
    if view is None or view.prepared == "ready":
        return ""
    if view.problem:
        return f"the base cannot be taught: {one_line(view.problem)}"
    return "the base is being prepared for lessons"


def findings(status: Status) -> list[tuple[str, str]]:
    """What is wrong or waits: a colour and a sentence each, the worst first."""
    found: list[tuple[str, str]] = []
    if status.base is None:
        found.append(("$text-error", "no base: 'shammah model add PATH.gguf' adds one"))
    if status.engine.problem:
        found.append(("$text-error", f"the engine: {one_line(status.engine.problem)}"))
    if unteachable := teachability(status.preparation):
        found.append(("$text-warning", unteachable))
    if status.proposal is not None:
        proposal = status.proposal
        found.append(
            (
                "$text-warning",
                f"version {proposal.version} does worse than it should: "
                f"{one_line(proposal.reason)}; b rolls back to version {proposal.leads_to}",
            )
        )
    if status.unlearning:
        numbers = count(len(status.unlearning), "forgotten example")
        found.append(("$text-warning", f"the model still knows {numbers} until the next lesson"))
    if status.obsolete:
        which = ", ".join(map(str, status.obsolete))
        found.append(("$text-warning", f"version {which} knows what is forgotten: delete it there"))
    if status.forecast is not None and status.forecast.shortage:
        found.append(("$text-warning", f"no room for a lesson: {status.forecast.shortage}"))
    if status.waits:
        found.append(("$text-warning", f"the queued job waits: {one_line(status.waits)}"))
    if status.inbox:
        found.append(("$text-accent", f"{inbox(status.inbox)}: 3 opens the examples, i the inbox"))
    return found


def health(status: Status) -> Content:
    """What is wrong, or that nothing is; then the room that there is."""
    found = findings(status) or [("$text-success", "nothing is wrong and nothing waits for you")]
    lines = [Content.styled(f"• {text}", colour) for colour, text in found]
    if status.forecast is not None:
        lines.append(Content(room_for_lesson(status.forecast)))
    if status.disk is not None:
        lines.append(Content(disk(status.disk)))
    return Content("\n").join(lines)


def room_for_lesson(forecast: ForecastView) -> str:
    memory, room = forecast.memory_bytes, forecast.memory_available_bytes
    return (
        f"the next lesson takes about {size(memory)} of {size(room)} memory "
        f"and {size(forecast.disk_bytes)} of {size(forecast.disk_free_bytes)} disk"
    )


def disk(view: DiskView) -> str:
    """`on disk: bases 300 MB, versions 120 MB`; what takes less than a megabyte is left out."""
    parts = {
        "bases": view.bases_bytes,
        "versions": view.versions_bytes,
        "jobs": view.jobs_bytes,
        "database": view.database_bytes,
        "logs": view.logs_bytes,
    }
    taken = ", ".join(f"{name} {size(used)}" for name, used in parts.items() if used >= 1e6)
    return f"on disk: {taken or 'less than 1 MB'}"


#: Why a job is paused, after `paused`.
PAUSED_FOR = {
    PauseReason.USER: "",
    PauseReason.POLICY: ": the machine is needed for something else",
    PauseReason.SPACE: ": the disk is full, it goes on when there is room",
}


def job_title(job: JobView) -> str:
    reason = PAUSED_FOR[job.paused_for] if job.paused_for else ""
    return f"Job {job.id} · {job.mode} · {job.state}{reason}"


def stage_of(job: JobView) -> str:
    """Where it is; a paused one where it was."""
    return job.stage or job.state


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


def ended_job(job: JobView, steps: Sequence[StepView] = ()) -> Content:
    outcome = Content.styled(f"job {job.id} {job.state}", STATE_COLOURS.get(job.state, ""))
    sentence = result(job)
    parts = [outcome + Content(f": {sentence}") if sentence else outcome]
    if job.hint:
        parts.append(Content.styled(one_line(job.hint), "dim"))
    parts += [Content.styled(tried(one), "$text-warning") for one in job.tried]
    if steps:
        parts.append(Content.styled(trained(steps), "dim"))
    return Content("\n").join(parts)


def tried(one: TriedView) -> str:
    """`tried: out of memory while training; then smaller batches`."""
    return f"tried: {one.failure} while {one.stage}; then {one_line(one.said)}"


def trained(steps: Sequence[StepView]) -> str:
    """`48 steps · loss 12.713 → 0.412 · held-out loss 2.300 → 0.910 · ...`."""
    parts = [count(len(steps), "step"), f"loss {steps[0].loss:.3f} → {steps[-1].loss:.3f}"]
    held_out = [one.held_out_nll for one in steps if one.held_out_nll is not None]
    if held_out:
        parts.append(f"held-out loss {held_out[0]:.3f} → {held_out[-1]:.3f}")
    rates = [one.learning_rate for one in steps if one.learning_rate is not None]
    if rates:
        parts.append(f"learning rate up to {max(rates):.1e}")
    return " · ".join(parts)


def course(progress: dict[str, Any]) -> str:
    """`step 3/60 · loss 0.412 · held-out loss 0.380`, or what another stage says of itself."""
    parts = []
    if "step" in progress and "steps" in progress:
        parts.append(f"step {progress['step']}/{progress['steps']}")
    for name, field in (("loss", "loss"), ("held-out loss", "held_out_loss")):
        if progress.get(field) is not None:
            parts.append(f"{name} {progress[field]:.3f}")
    if progress.get("detail"):
        parts.append(one_line(str(progress["detail"])))
    return " · ".join(parts)


def rates(progress: dict[str, Any]) -> str:
    """`learning rate 1.2e-03 · gradient norm 0.84 · 812 tokens/s · 12 s left`."""
    parts = []
    if progress.get("learning_rate") is not None:
        parts.append(f"learning rate {progress['learning_rate']:.1e}")
    if progress.get("gradient_norm") is not None:
        parts.append(f"gradient norm {progress['gradient_norm']:.2f}")
    if progress.get("tokens_per_second") is not None:
        parts.append(f"{progress['tokens_per_second']:.0f} tokens/s")
    if progress.get("seconds_left") is not None:
        parts.append(f"{duration(progress['seconds_left'])} left")
    return " · ".join(parts)


def job_log(states: Sequence[JobEvent], now: datetime) -> list[str]:
    """A line for each state that a job entered, with how long it was in it."""
    lines = []
    for event, after in zip_longest(states, states[1:]):
        said = f"{clock(event.at, now)} {event.data['state']}"
        if after is not None:
            passed = datetime.fromisoformat(after.at) - datetime.fromisoformat(event.at)
            said += f" {duration(passed.total_seconds())}"
        lines.append(said)
        for field in ("summary", "error", "hint"):
            if text := one_line(event.data.get(field)):
                lines.append(f"         {text}")
    return lines


def clock(iso: str | None, now: datetime) -> str:
    """`14:02:33`, in the time zone of `now`."""
    return f"{datetime.fromisoformat(iso).astimezone(now.tzinfo):%H:%M:%S}" if iso else " " * 8
