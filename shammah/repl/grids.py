"""Draws a table: cropped to the width of a terminal, whole in a pipe."""

from __future__ import annotations

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shammah.repl.views import Grid

#: Wider than any row, so that what another program reads is never cropped.
_PIPE_COLUMNS = 100_000

#: A column gives way on a narrow terminal down to this, so that ids and names stay whole.
_KEPT_COLUMNS = 24


def show(grid: Grid, console: Console) -> None:
    if not grid.rows:  # a remark, not data
        Console(stderr=True).print(grid.empty, markup=False, highlight=False)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, *cells in zip(grid.headings, *grid.rows, strict=True):
        longest = max(map(cell_len, (heading, *cells)))
        table.add_column(
            heading, no_wrap=True, overflow="ellipsis", min_width=min(longest, _KEPT_COLUMNS)
        )
    for row in grid.rows:
        table.add_row(*map(Text, row))
    if not console.is_terminal:
        console = Console(file=console.file, width=_PIPE_COLUMNS)
    console.print(table)
