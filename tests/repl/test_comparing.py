"""What `/compare` takes, how two answers are laid out, and what a blind choice means."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from shammah.errors import UsageError
from shammah.protocol import ComparedAnswer, Comparison
from shammah.records import Preference
from shammah.repl.comparing import Wish, ask, parse, show, verdict

FOUND = Comparison(
    first=ComparedAnswer(version=1, base="tiny", text="Port 80."),
    second=ComparedAnswer(version=2, base="tiny", text="Port 7443."),
)


def console(width: int) -> Console:
    return Console(file=io.StringIO(), width=width)


def lines(drawn: Console) -> list[str]:
    assert isinstance(drawn.file, io.StringIO)
    return drawn.file.getvalue().splitlines()


@pytest.mark.parametrize(
    ("argument", "wish"),
    [
        ("Which port?", Wish("Which port?", None, None, blind=False)),
        ("1 3 Which port?", Wish("Which port?", 1, 3, blind=False)),
        ("--blind 1 3 Which port?", Wish("Which port?", 1, 3, blind=True)),
        ("Which port? --blind", Wish("Which port?", None, None, blind=True)),
        ("4 eyes or 2?", Wish("4 eyes or 2?", None, None, blind=False)),
    ],
)
def test_what_is_to_be_compared(argument: str, wish: Wish) -> None:
    assert parse(argument) == wish


@pytest.mark.parametrize("argument", ["", "1 3", "--blind"])
def test_without_a_question_nothing_is_compared(argument: str) -> None:
    with pytest.raises(UsageError, match="no question"):
        parse(argument)


def test_answers_stand_side_by_side_where_there_is_room() -> None:
    wide, narrow = console(100), console(40)
    show(FOUND, wide)
    assert any("Port 80." in line and "Port 7443." in line for line in lines(wide))
    assert any("version 1 of tiny" in line and "version 2 of tiny" in line for line in lines(wide))
    show(FOUND, narrow)
    first, second = ("\n".join(lines(narrow)).index(text) for text in ("Port 80.", "Port 7443."))
    assert first < second
    assert not any("Port 80." in line and "Port 7443." in line for line in lines(narrow))


@pytest.mark.parametrize(
    ("typed", "swapped", "better"),
    [
        ("1", False, Preference.FIRST),
        ("2", False, Preference.SECOND),
        ("1", True, Preference.SECOND),
        ("2", True, Preference.FIRST),
        ("tie", True, Preference.TIE),
    ],
)
def test_a_blind_choice_is_asked_without_names(
    typed: str, swapped: bool, better: Preference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: typed)
    drawn = console(100)
    assert ask(FOUND, swapped, drawn) is better
    text = "\n".join(lines(drawn))
    assert "version" not in text
    assert (text.index("Port 7443.") < text.index("Port 80.")) is swapped


def test_the_names_are_told_after_the_vote() -> None:
    assert verdict(FOUND, Preference.SECOND) == (
        "you preferred version 2 of tiny to version 1 of tiny"
    )
    assert verdict(FOUND, Preference.TIE) == "a tie between version 1 of tiny and version 2 of tiny"
