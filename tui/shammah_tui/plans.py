"""What the next lesson is made of, how it would compute and what it takes, in words; knows no
widget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from textual.content import Content

from shammah.protocol import EstimateView, ExampleView, PlanView, Status
from shammah.records import ExampleStatus, LessonMode, Level, Mode
from shammah.wording import count, duration, one_line, size
from shammah_tui import wording


def material(status: Status, examples: Sequence[ExampleView]) -> Content:
    """What is ready by level, what of it is new, and what waits for a word."""
    ready = Counter(one.level for one in examples if one.status is ExampleStatus.READY)
    by_level = ", ".join(f"{ready[level]} {level}" for level in Level if ready[level])
    lines = [
        Content(f"{ready.total()} ready" + (f": {by_level}" if by_level else "")),
        Content(f"{status.waiting} not learned yet"),
    ]
    if status.inbox:
        waits = f"{wording.inbox(status.inbox)} (3, i)"
        lines.append(Content.styled(waits, "$text-accent"))
    else:
        lines.append(Content.styled("nothing waits for your word", "dim"))
    if not ready:
        lines.append(Content.styled("nothing to teach: mark an answer first", "$text-warning"))
    return Content("\n").join(lines)


def course(mode: LessonMode, version: int) -> str:
    """What a lesson of that mode begins with and teaches."""
    if mode is Mode.CONSOLIDATE:
        return "from the base, on every ready example"
    if not version:
        return "nothing was taught before: it consolidates"
    return f"from version {version}, on what is new and a sample of the rest"


def machine(plan: PlanView) -> Content:
    """Each choice, and its reason below it."""
    width = max(len(line.name) for line in plan.lines) + 2
    return Content("\n").join(
        Content.assemble(
            (f"{line.name:<{width}}", "dim"),
            (one_line(line.choice), "bold"),
            f"\n  {one_line(line.reason)}",
        )
        for line in plan.lines
    )


def takes(plan: PlanView) -> Content:
    """What is missing, and what the lesson takes with what that is taken from."""
    lines = []
    if plan.shortage:
        lines.append(Content.styled(f"no room now: {one_line(plan.shortage)}", "$text-error"))
    if plan.estimate is None:
        lines.append(Content("nothing to teach yet"))
    else:
        lines += [
            Content.assemble((f"{name:<9}", "dim"), said) for name, said in taken(plan.estimate)
        ]
    return Content("\n").join(lines)


def taken(estimate: EstimateView) -> list[tuple[str, str]]:
    """Names and figures."""
    training = duration(estimate.training_seconds)
    found = [("time", f"{duration(estimate.seconds)}, {training} of it training")]
    if estimate.memory_bytes:
        found.append(("memory", f"{size(estimate.memory_bytes)} at its peak"))
    found.append(("disk", f"{size(estimate.disk_bytes)} while it runs"))
    if estimate.kwh is not None:
        cost = "" if estimate.cost is None else f", for {estimate.cost:.2g}"
        found.append(("energy", f"{estimate.kwh:.2g} kWh{cost}"))
    found.append(("work", count(estimate.tokens, "token")))
    found.append(("basis", one_line(estimate.basis)))
    return found
