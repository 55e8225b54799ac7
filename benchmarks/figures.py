"""Figures as tables for a terminal and for docs/benchmarks.md. Measures nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Section:
    """One table: the first column names what the others measure."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default_factory=tuple)


def show(sections: Sequence[Section], console: Console) -> None:
    """Print the sections as tables."""
    for section in sections:
        table = Table(title=section.title, title_justify="left", title_style="bold")
        for number, column in enumerate(section.columns):
            table.add_column(column, justify="right" if number else "left", overflow="fold")
        for row in section.rows:
            table.add_row(*row)
        console.print(table, markup=False)
        for note in section.notes:
            console.print(note, markup=False, highlight=False)
        console.print()


def markdown(sections: Sequence[Section]) -> str:
    """The sections as they stand in docs/benchmarks.md."""
    return "\n".join(_section_lines(sections))


def _section_lines(sections: Sequence[Section]) -> list[str]:
    lines: list[str] = []
    for section in sections:
        lines += [f"### {section.title}", ""]
        lines += [_row(section.columns), _row(["---"] + ["---:"] * (len(section.columns) - 1))]
        lines += [_row(row) for row in section.rows]
        lines += [text for note in section.notes for text in ("", note)]
        lines.append("")
    return lines


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def seconds(value: float) -> str:
    return f"{value:.2f} s"


def milliseconds(value: float) -> str:
    """`value` is in seconds."""
    return f"{value * 1000:.0f} ms"


def rate(tokens_per_second: float) -> str:
    return f"{tokens_per_second:.0f}"


def times(ratio: float) -> str:
    return f"{ratio:.2f} x"


def percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def gibibytes(size_bytes: float) -> str:
    return f"{size_bytes / 2**30:.2f} GiB"
