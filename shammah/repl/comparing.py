"""Two answers side by side, for the chat and for the command line, and the vote on them."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from shammah.errors import UsageError
from shammah.protocol import ComparedAnswer, Comparison
from shammah.records import Preference
from shammah.wording import printable

#: Below this width the answers stand below one another.
SIDE_BY_SIDE_COLUMNS = 80

BLIND = "--blind"
USAGE = "compare [A B] QUESTION [--blind]: A and B are version numbers"

#: What the user may say of two unlabelled answers.
CHOICES = ("1", "2", "tie")


@dataclass(frozen=True)
class Wish:
    """What is to be compared; versions left out are the daemon's to choose."""

    question: str
    first: int | None
    second: int | None
    blind: bool


def parse(argument: str) -> Wish:
    """The wish in what stands behind `/compare`.

    Raises:
        UsageError: there is no question.
    """
    words = argument.split()
    blind = BLIND in words
    if blind:
        argument = " ".join(word for word in words if word != BLIND)
    first, second, question = _versions(argument)
    if not question:
        raise UsageError("there is no question to compare answers to", hint=USAGE)
    return Wish(question, first, second, blind)


def _versions(argument: str) -> tuple[int | None, int | None, str]:
    parts = argument.split(maxsplit=2)
    if len(parts) > 1 and parts[0].isdecimal() and parts[1].isdecimal():
        return int(parts[0]), int(parts[1]), parts[2] if len(parts) == 3 else ""
    return None, None, argument.strip()


def show(found: Comparison, console: Console) -> None:
    """Both answers under the names of their versions."""
    _print([(_name(answer), answer.text) for answer in (found.first, found.second)], console)


def ask(found: Comparison, swapped: bool, console: Console) -> Preference:
    """Both answers as 1 and 2, the second first where `swapped`, and which one is better."""
    texts = [found.first.text, found.second.text]
    _print(list(zip(CHOICES, texts[::-1] if swapped else texts, strict=False)), console)
    from rich.prompt import Prompt

    choice = Prompt.ask("Which is better?", choices=list(CHOICES), console=console)
    return preference(choice, swapped)


def preference(choice: str, swapped: bool) -> Preference:
    """What a choice between 1, 2 and tie means for the versions."""
    if choice not in CHOICES[:2]:
        return Preference.TIE
    return Preference.FIRST if (choice == "1") != swapped else Preference.SECOND


def verdict(found: Comparison, better: Preference) -> str:
    """The line that resolves a blind comparison."""
    if better is Preference.TIE:
        return f"a tie between {_name(found.first)} and {_name(found.second)}"
    pair = [found.first, found.second]
    winner, loser = pair if better is Preference.FIRST else pair[::-1]
    return f"you preferred {_name(winner)} to {_name(loser)}"


def _name(answer: ComparedAnswer) -> str:
    return f"version {answer.version} of {answer.base}"


def _print(answers: list[tuple[str, str]], console: Console) -> None:
    """Side by side where the width allows it, else below one another."""
    panels = [
        Panel(Text(printable(text.strip())), title=Text(title), title_align="left")
        for title, text in answers
    ]
    if console.width < SIDE_BY_SIDE_COLUMNS:
        console.print(*panels, sep="")
        return
    table = Table.grid(expand=True)
    for _panel in panels:
        table.add_column(ratio=1)
    table.add_row(*panels)
    console.print(table)
