"""The line under the prompt: what it says, and what it leaves out where the terminal is narrow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len

from shammah.protocol import Status
from shammah.records import JobState
from shammah.repl.wording import progress_short, until_next_lesson

_BETWEEN = " · "


@dataclass(frozen=True)
class Part:
    """Something to say, from its longest form to its shortest; the empty one leaves it out."""

    forms: tuple[str, ...]


@dataclass(frozen=True)
class Talk:
    """Where the chat itself stands."""

    speed: float | None  # tokens/s of the last answer
    context_tokens: int  # that the conversation takes
    can_judge: bool  # whether there is an answer that the keys would mark


def line(status: Status | None, progress: dict[str, Any] | None, talk: Talk, columns: int) -> str:
    """The bar.

    Args:
        progress: of the running job, None when no job runs.
    """
    if status is None:
        return "no daemon"
    return fitted(_parts(status, progress, talk), columns)


def fitted(parts: list[Part], columns: int) -> str:
    """All parts in their longest forms that fit: the last part gives way first, step by step."""
    forms = [0] * len(parts)
    while True:
        said = [part.forms[form] for part, form in zip(parts, forms, strict=True)]
        text = _BETWEEN.join(one for one in said if one)
        shorter = [i for i, part in enumerate(parts) if forms[i] + 1 < len(part.forms)]
        if cell_len(text) <= columns or not shorter:
            return text
        # Every part is made short before any is left out.
        chosen = max(shorter, key=lambda i: (parts[i].forms[forms[i] + 1] != "", i))
        forms[chosen] += 1


def _parts(status: Status, progress: dict[str, Any] | None, talk: Talk) -> list[Part]:
    """In the order in which they stand, the most important first."""
    parts = [
        Part((status.base or "no base",)),
        Part((f"version {status.active_version}", f"v{status.active_version}")),
    ]
    if status.job is not None and status.job.state is JobState.PAUSED:
        parts.append(Part((f"job {status.job.id} is paused", "job paused")))
    elif status.waits:
        parts.append(Part((f"the lesson waits: {status.waits}", "lesson waits")))
    elif progress is not None:
        said = progress_short(progress) or "waiting"
        parts.append(Part((f"job: {said}", said)))
    else:
        soon = "lesson due" if status.missing <= 0 else f"{status.missing} to lesson"
        parts.append(Part((until_next_lesson(status.missing), soon)))
    if status.engine.state != "ready":
        parts.append(Part((f"engine {status.engine.state}", status.engine.state)))
    room = status.engine.context_tokens
    if talk.context_tokens and room:
        share = f"{talk.context_tokens / room:.0%}"
        parts.append(Part((f"context {share}", f"ctx {share}", "")))
    if talk.speed:
        parts.append(Part((f"{talk.speed:.0f} tokens/s", f"{talk.speed:.0f} t/s", "")))
    if talk.can_judge:
        parts.append(Part(("Alt-g good · Alt-m medium · Alt-c critical", "Alt-g/m/c", "")))
    return parts
