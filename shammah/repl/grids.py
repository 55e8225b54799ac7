"""Draws a table: cropped to the width of a terminal, whole in a pipe."""

from __future__ import annotations

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shammah.repl.views import Grid

#: Wider than any row, so that what another program reads is never cropped.
_PIPE_COLUMNS = 100_000

#: Blanks between two columns.
_GAP = 2


def show(grid: Grid, console: Console) -> None:
    if not grid.rows:  # a remark, not data
        Console(stderr=True).print(grid.empty, markup=False, highlight=False)
        return
    columns = list(zip(grid.headings, *grid.rows, strict=True))
    longest = [max(map(cell_len, cells)) for cells in columns]
    if console.is_terminal:
        longest = fitted(longest, console.width - _GAP * (len(longest) - 1))
    else:
        console = Console(file=console.file, width=_PIPE_COLUMNS)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, width in zip(grid.headings, longest, strict=True):
        table.add_column(heading, no_wrap=True, overflow="ellipsis", width=width)
    for row in grid.rows:
        table.add_row(*map(Text, row))
    console.print(table)


def fitted(widths: list[int], room: int) -> list[int]:
    """The widest columns give way, all to the same width, so that ids and names stay whole."""
    limit = max(widths)
    while limit > 1 and sum(min(width, limit) for width in widths) > room:
        limit -= 1
    return [min(width, limit) for width in widths]
