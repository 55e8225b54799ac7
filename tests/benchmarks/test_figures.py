"""Tables for the terminal and for the documentation."""

from __future__ import annotations

import io

from rich.console import Console

from benchmarks.figures import Section, markdown, milliseconds, show

SECTION = Section("Speed", ("what", "value"), [("a | b", "3 s"), ("[c]", "4 s")], ["A note."])


def test_markdown_is_a_table_under_its_title() -> None:
    assert markdown([SECTION]).splitlines() == [
        "### Speed",
        "",
        "| what | value |",
        "| --- | ---: |",
        "| a \\| b | 3 s |",
        "| [c] | 4 s |",
        "",
        "A note.",
    ]


def test_the_terminal_shows_cells_as_they_are() -> None:
    out = io.StringIO()
    show([SECTION], Console(file=out, width=60))
    assert "[c]" in out.getvalue()
    assert "A note." in out.getvalue()


def test_milliseconds_are_given_in_seconds() -> None:
    assert milliseconds(0.0151) == "15 ms"
