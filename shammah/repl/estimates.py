"""How plans and estimates are said; pure, prints nothing."""

from __future__ import annotations

from shammah.protocol import EstimateView, JobView, PlanView
from shammah.repl.wording import job_state
from shammah.wording import duration, printable, size


def in_words(estimate: EstimateView) -> str:
    """`42 s, 1.9 GB memory, 0.9 GB disk, 0.002 kWh for 0.00 (the pace of job 3)`."""
    parts = [duration(estimate.seconds)]
    if estimate.memory_bytes:
        parts.append(f"{size(estimate.memory_bytes)} memory")
    parts.append(f"{size(estimate.disk_bytes)} disk")
    if estimate.kwh is not None:
        cost = "" if estimate.cost is None else f" for {estimate.cost:.2g}"
        parts.append(f"{estimate.kwh:.2g} kWh{cost}")
    return printable(f"{', '.join(parts)} ({estimate.basis})")


def queued(job: JobView) -> str:
    """`job 4 is queued: about 42 s, ...`."""
    said = f"job {job.id} is {job_state(job)}"
    return f"{said}: about {in_words(job.estimate)}" if job.estimate else said


def plan(found: PlanView) -> str:
    """A line for each choice with its reason, and what the lesson would take."""
    width = max(len(line.name) for line in found.lines) + 2
    lines = [f"{line.name + ':':<{width}}{line.choice}: {line.reason}" for line in found.lines]
    if found.shortage:
        lines.append(f"no room now: {found.shortage}")
    if found.estimate:
        lines.append(f"estimate: about {in_words(found.estimate)}")
    else:
        lines.append("estimate: none, there is nothing to teach yet")
    return printable("\n".join(lines))
