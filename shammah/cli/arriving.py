"""Shows how the files of a base arrive: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from shammah.cli import output

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from shammah.protocol import AddBaseProgress

#: How far apart the lines are, in shares of all.
LINE_EVERY = 0.1

KEPT = "what has arrived is kept: the same command goes on with it"


@contextmanager
def arriving() -> Iterator[Callable[[AddBaseProgress], None]]:
    """What to call with every progress; draws on stderr. Interrupted, it says what is kept."""
    from rich.console import Console

    console = Console(stderr=True)
    begun = False

    def noting(show: Callable[[AddBaseProgress], None], told: AddBaseProgress) -> None:
        nonlocal begun
        begun = True
        show(told)

    try:
        with _bar(console) if console.is_terminal else _lines() as show:
            yield lambda told: noting(show, told)
    except KeyboardInterrupt:
        if begun:
            output.say(KEPT)
        raise


@contextmanager
def _bar(console: Console) -> Iterator[Callable[[AddBaseProgress], None]]:
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from shammah.wording import printable

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        tasks: list[TaskID] = []

        def show(told: AddBaseProgress) -> None:
            description = printable(f"{told.stage} {told.file}")
            if not tasks:  # what was there before says nothing of the rate
                tasks.append(
                    progress.add_task(
                        description, total=told.total_bytes, completed=told.done_bytes
                    )
                )
            progress.update(
                tasks[0],
                description=description,
                completed=told.done_bytes,
                total=told.total_bytes,
            )

        yield show


@contextmanager
def _lines() -> Iterator[Callable[[AddBaseProgress], None]]:
    from shammah.wording import printable, size

    said: tuple[str, str, int] | None = None

    def show(told: AddBaseProgress) -> None:
        nonlocal said
        share = told.done_bytes / max(told.total_bytes, 1)
        here = (told.stage, told.file, int(share / LINE_EVERY))
        if here != said:
            said = here
            output.say(
                printable(
                    f"{told.stage} {told.file}: {size(told.done_bytes)} of "
                    f"{size(told.total_bytes)} ({share:.0%})"
                )
            )

    yield show
