"""What is said while training goes on, on standard error: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from shammah.wording import one_line, printable, progress_details

#: Without a bar, a line for so much of each stage.
LINE_SHARE = 0.1


class Screen:
    """Standard error."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TextColumn("{task.fields[details]}", markup=False),
            console=self._console,
            transient=True,
            refresh_per_second=4,
        )
        self._task = self._bar.add_task("", total=1.0, visible=False, details="")
        self._stage, self._said = "", 0.0

    def __enter__(self) -> Screen:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        self._console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    async def progress(self, fields: dict[str, Any]) -> None:
        """How far a stage is, as `shammah.stage.report` tells it."""
        stage = one_line(str(fields.get("stage", "")))
        fraction = float(fields.get("fraction", 0.0))
        details = progress_details(fields)
        if self._console.is_terminal:
            self._bar.update(
                self._task, description=stage, completed=fraction, details=details, visible=True
            )
        elif stage != self._stage or fraction - self._said >= LINE_SHARE or fraction == 1:
            self._said = fraction
            self.say(f"{stage}: {fraction:.0%}" + (f" · {details}" if details else ""))
        self._stage = stage
