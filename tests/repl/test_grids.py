"""Tables on narrow terminals and in pipes."""

from __future__ import annotations

import io

from rich.console import Console

from shammah.repl.grids import fitted, show
from shammah.repl.views import Grid

GRID = Grid(("id", "question", "target"), [("12", "q" * 90, "t" * 200), ("7", "x", "y")], empty="")


def drawn(columns: int, *, terminal: bool) -> list[str]:
    console = Console(file=io.StringIO(), width=columns, force_terminal=terminal, no_color=True)
    show(GRID, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_ids_stay_whole_where_long_columns_do_not_fit() -> None:
    row = drawn(80, terminal=True)[1]
    assert row.startswith("12  qqq")
    assert len(row) <= 80


def test_a_pipe_gets_everything() -> None:
    assert "t" * 200 in drawn(80, terminal=False)[1]


def test_the_widest_columns_give_way_alike() -> None:
    assert fitted([2, 90, 200], 76) == [2, 37, 37]
    assert fitted([2, 16, 8], 76) == [2, 16, 8]
    assert fitted([2, 90], 1) == [1, 1]
