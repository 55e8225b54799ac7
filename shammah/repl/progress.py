"""Draws the events of one job: a bar on a terminal, a line a stage elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn, TextColumn

from shammah.protocol import JobEvent
from shammah.records import FINAL_STATES
from shammah.repl.typing_ahead import TypedAhead
from shammah.wording import printable, progress_details


def show(events: Iterator[JobEvent], console: Console, typed: TypedAhead | None = None) -> None:
    """Draw until the events end; the bar leaves nothing behind."""
    if console.is_terminal:
        _bar(events, console, typed or TypedAhead())
    else:
        _lines(events, console)


class _Bar(Progress):
    """With what is typed below it."""

    def __init__(self, typed: TypedAhead, *columns: ProgressColumn, console: Console) -> None:
        self._typed = typed
        super().__init__(*columns, console=console, transient=True, refresh_per_second=4)

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        yield self._typed


def _bar(events: Iterator[JobEvent], console: Console, typed: TypedAhead) -> None:
    progress = _Bar(
        typed,
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TaskProgressColumn(),
        TextColumn("{task.fields[details]}", markup=False),
        console=console,
    )
    typed.on_key = progress.refresh
    with progress:
        task = progress.add_task("queued", total=1.0, details="")
        for event in events:
            if event.kind == "progress":
                progress.update(
                    task,
                    description=_stage(event),
                    completed=event.data.get("fraction", 0.0),
                    details=printable(progress_details(event.data)),
                )
            else:
                progress.update(task, description=_stage(event), completed=0.0, details="")


def _lines(events: Iterator[JobEvent], console: Console) -> None:
    said = ""
    for event in events:
        stage = _stage(event)
        if stage and stage != said and stage not in FINAL_STATES:  # the caller tells the outcome
            said = stage
            console.print(f"job {event.job_id}: {stage}", markup=False, highlight=False)


def _stage(event: JobEvent) -> str:
    return printable(str(event.data.get("stage") or event.data.get("state") or ""))
