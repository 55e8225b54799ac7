"""The table of slash commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from shammah.errors import DaemonUnreachable, UsageError
from shammah.repl import views
from shammah.repl.commands import COMMANDS, Argument, find, help_text, is_command
from shammah.repl.completing import LineCompleter

WORDS = {
    Argument.EXAMPLE: lambda: [("1", "why?"), ("12", "who?")],
    Argument.BASE: lambda: [("tiny", "Q8_0")],
}


def completions(typed: str) -> list[str]:
    found = LineCompleter(WORDS).get_completions(Document(typed), CompleteEvent())
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
    assert not is_command("/etc/hosts has a wrong line")


def test_ids_and_models_are_completed_with_what_they_are() -> None:
    assert completions("/forget ") == ["1", "12"]
    assert completions("/forget 12") == ["12"]
    assert completions("/forget 12 --n") == []
    [found] = LineCompleter(WORDS).get_completions(Document("/model t"), CompleteEvent())
    assert (found.text, found.display_meta_text) == ("tiny", "Q8_0")


def test_files_are_completed(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    assert completions(f"/file {tmp_path}/no") == ["tes.txt"]


def test_without_a_daemon_nothing_is_completed() -> None:
    def fail() -> list[tuple[str, str]]:
        raise DaemonUnreachable("gone")

    completer = LineCompleter({Argument.SESSION: fail})
    assert list(completer.get_completions(Document("/resume "), CompleteEvent())) == []


def test_the_help_fits_a_terminal_of_80_by_24() -> None:
    short = help_text("").splitlines()
    assert len(short) <= 22
    assert max(map(len, [*short, *help_text("all").splitlines()])) <= 80
    assert all(command.name in help_text("") for command in COMMANDS)


def test_the_help_is_searched() -> None:
    groups = [("Sessions", [("/fork", "go on in a copy")]), ("Keys", [("Tab", "complete")])]
    assert views.help_on(groups, "copy") == "Sessions\n  /fork  go on in a copy"
    assert views.help_on(groups, "zebra") == "the help has nothing on 'zebra'"
