"""docs/commands.md, from the tables that the help and the completion have too.

`python -m tests.commands_page > docs/commands.md` writes it anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from typer.core import TyperArgument, TyperGroup, TyperOption
from typer.main import get_command

from shammah.cli.commands import app
from shammah.repl.commands import GROUPS, KEYS

PAGE = Path(__file__).parents[1] / "docs" / "commands.md"

_OPENING = """\
# Commands and keys

What the chat and the command line take. The keys of the monitor are in [monitor.md](monitor.md).
This page is made by `python -m tests.commands_page > docs/commands.md`; a test compares.
"""


def page() -> str:
    parts = [_OPENING, "## In the chat\n"]
    for title, commands in GROUPS:
        rows = [(f"{c.name} {c.arguments}".strip(), c.description) for c in commands]
        parts += [f"**{title}**\n", _table(("type", "for"), rows)]
    parts += ["**Keys**\n", _table(("press", "for"), KEYS)]
    typed = [("shammah", "the chat", "`--continue`"), *_leaves(get_command(app), "shammah")]
    parts += ["## On the command line\n", _table(("type", "for", "options"), typed)]
    return "\n".join(parts)


def _leaves(command: Any, name: str) -> Iterator[tuple[str, ...]]:
    """Usage, help and options of every command that has none below it."""
    if isinstance(command, TyperGroup):
        for below in sorted(command.commands):
            yield from _leaves(command.commands[below], f"{name} {below}")
        return
    arguments = [one for one in command.params if isinstance(one, TyperArgument)]
    options = [one for one in command.params if isinstance(one, TyperOption) and not one.hidden]
    yield (
        " ".join([name, *(one.metavar or (one.name or "").upper() for one in arguments)]),
        " ".join((command.help or "").split()),
        ", ".join(f"`{option.opts[-1]}`" for option in options),
    )


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(headings)} |", "| --- " * len(headings) + "|"]
    for first, *rest in rows:
        lines.append(f"| `{first}` | {' | '.join(rest)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
