"""The prompts of the terminal, for a turn, a correction and a choice, and their keys."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from shammah.repl.commands import COMMANDS

#: How long a lone Esc waits for the rest of Alt-Enter.
_ESCAPE_SECONDS = 0.3


class CommandCompleter(Completer):
    """Slash commands, with what they do."""

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        typed = document.text_before_cursor
        if not typed.startswith("/") or " " in typed:
            return
        for command in COMMANDS:
            if command.name.startswith(typed):
                yield Completion(
                    command.name,
                    start_position=-len(typed),
                    display=f"{command.name} {command.arguments}".strip(),
                    display_meta=command.description,
                )


def turn_prompt(history: Path, toolbar: Callable[[], str]) -> PromptSession[str]:
    """The prompt for questions and commands."""
    keys = _newline_keys()

    @keys.add("c-c")
    def _clear_line(event: KeyPressEvent) -> None:
        event.current_buffer.reset()

    return PromptSession(
        "> ",
        history=FileHistory(_private(history)),
        completer=CommandCompleter(),
        complete_while_typing=True,
        reserve_space_for_menu=5,
        search_ignore_case=True,
        bottom_toolbar=toolbar,
        prompt_continuation="  ",
        key_bindings=keys,
    )


def correction_prompt() -> PromptSession[str]:
    """The prompt for a correction: Esc and Ctrl-C leave it open."""
    keys = _newline_keys()

    @keys.add("escape")
    @keys.add("c-c")
    def _skip(event: KeyPressEvent) -> None:
        event.app.exit(result="")

    session: PromptSession[str] = PromptSession("= ", prompt_continuation="  ", key_bindings=keys)
    session.app.timeoutlen = _ESCAPE_SECONDS
    session.app.ttimeoutlen = _ESCAPE_SECONDS
    return session


def choice_prompt() -> PromptSession[str]:
    """The prompt for one letter out of some."""
    return PromptSession("? ", reserve_space_for_menu=0)


def _newline_keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("escape", "enter")
    def _newline(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys


def _private(history: Path) -> Path:
    """The history file, made so that only its user reads it."""
    os.close(os.open(history, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    history.chmod(0o600)
    return history
