"""The table of slash commands."""

from __future__ import annotations

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from shammah.errors import UsageError
from shammah.repl.commands import COMMANDS, find, is_command
from shammah.repl.completing import LineCompleter


def completions(typed: str) -> list[str]:
    found = LineCompleter({}).get_completions(Document(typed), CompleteEvent())
    return [completion.text for completion in found]


def test_names_are_unique_and_begin_with_a_slash() -> None:
    names = [command.name for command in COMMANDS]
    assert len(set(names)) == len(names)
    assert all(name.startswith("/") for name in names)


def test_every_command_of_the_table_is_found() -> None:
    assert [find(command.name) for command in COMMANDS] == list(COMMANDS)


def test_an_unknown_command_names_itself_and_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown command '/rolback'") as caught:
        find("/rolback")
    assert "/rollback" in caught.value.hint


def test_completion_offers_every_command_that_fits() -> None:
    assert completions("/") == [command.name for command in COMMANDS]
    assert completions("/re") == ["/retry", "/resume", "/rename", "/review"]


@pytest.mark.parametrize("typed", ["", "why", "/critical no", "what is /re"])
def test_completion_keeps_quiet_elsewhere(typed: str) -> None:
    assert completions(typed) == []


def test_a_slash_in_the_middle_is_no_command() -> None:
    assert is_command("  /help")
    assert not is_command("and/or")
