"""What Tab offers: commands, and the ids, models and files behind them, with what they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from shammah.client import Client
from shammah.errors import ShammahError
from shammah.repl import options, transcript
from shammah.repl.commands import COMMANDS, Argument
from shammah.wording import one_line

#: What can stand behind a command: the word, and what it is.
Words = list[tuple[str, str]]


def sources(client: Client) -> Mapping[Argument, Callable[[], Words]]:
    """Where the words come from. `client` is for the completer's thread alone."""
    return {
        Argument.EXAMPLE: lambda: [(str(one.id), one.question) for one in client.examples()],
        Argument.SESSION: lambda: [
            (str(one.id), transcript.title(one)) for one in client.sessions(limit=100)
        ],
        Argument.VERSION: lambda: [
            (str(one.number), f"{one.base} {one.summary}") for one in client.versions()
        ],
        Argument.JOB: lambda: [
            (str(one.id), f"{one.state} {one.summary}") for one in client.jobs()
        ],
        Argument.BASE: lambda: [(one.name, one.quantization) for one in client.bases()],
        Argument.OPTION: lambda: list(options.MEANINGS.items()),
    }


class LineCompleter(Completer):
    """Completes slash commands and what stands behind them; says nothing in a question."""

    def __init__(self, words: Mapping[Argument, Callable[[], Words]]) -> None:
        self._words = words
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        typed = document.text_before_cursor
        if not typed.startswith("/"):
            return
        if " " not in typed:
            yield from _commands(typed)
            return
        name, argument = typed.split(" ", 1)
        command = next((one for one in COMMANDS if one.name == name), None)
        if command is None or command.completed_by is None:
            return
        if command.completed_by is Argument.FILE:
            yield from self._paths.get_completions(Document(argument), event)
        elif " " not in argument:
            yield from self._ids(command.completed_by, argument)

    def _ids(self, kind: Argument, typed: str) -> Iterable[Completion]:
        with suppress(ShammahError):  # no daemon: nothing to offer, and nothing to say here
            for word, meaning in self._words[kind]():
                if word.startswith(typed):
                    yield Completion(
                        word, start_position=-len(typed), display_meta=one_line(meaning)
                    )


def _commands(typed: str) -> Iterable[Completion]:
    for command in COMMANDS:
        if command.name.startswith(typed):
            yield Completion(
                command.name,
                start_position=-len(typed),
                display=f"{command.name} {command.arguments}".strip(),
                display_meta=command.description,
            )
