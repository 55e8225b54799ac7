"""The table of commands: which there are, what each is for, and where it is written.

The module of a command is imported when the command is asked for, so that `--help` waits for none
and a command for its own; and each imports what it needs when it runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from pkgutil import resolve_name
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup
from typer.main import get_group

from shammah import __version__

#: What each is for and where it is written, in the order of the help; `app` is a group of commands.
COMMANDS = {
    "ask": ("questions:ask", "Ask one question; the answer goes to standard output."),
    "why": ("questions:why", "Tell which version gave an answer, and which corrections helped."),
    "feedback": ("feedback:feedback", "Record feedback on the newest answer, or on another one."),
    "train": ("jobs:train", "Queue a job now."),
    "status": ("daemon:status", "Show the daemon, the model, and how far the next lesson is."),
    "backup": ("backups:backup", "Write everything into one file, while the daemon works."),
    "restore": ("backups:restore", "Put a backup in the place of everything."),
    "doctor": ("doctor:doctor", "Look whether all is well, with a way out where it is not."),
    "tui": ("monitor:tui", "Watch and steer the model, the examples and the jobs."),
    "sessions": ("sessions:app", "The conversations that are kept."),
    "examples": ("examples:app", "What was recorded to be learned."),
    "jobs": ("jobs:app", "Jobs that run, wait or have ended."),
    "versions": ("versions:app", "What was learned, version by version."),
    "model": ("bases:app", "Base models."),
    "adapters": ("adapters:app", "LoRA adapters: of the versions, and imported ones."),
    "daemon": ("daemon:app", "The process behind everything."),
    "config": ("config:app", "The settings in config.toml."),
}


class _Commands(Mapping[str, Any]):
    """The commands of `COMMANDS` by name, each imported when it is first asked for."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = _load(name)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


def _load(name: str) -> Any:
    """The command, or the group of commands, as typer makes it."""
    where, _ = COMMANDS[name]
    found = resolve_name(f"shammah.cli.{where}")
    alone = typer.Typer(rich_markup_mode=None)
    if isinstance(found, typer.Typer):
        alone.add_typer(found, name=name)
    else:
        alone.command(name)(found)
    return get_group(alone).commands[name]


class _Group(TyperGroup):
    """`shammah` itself: lists its commands from the table, without importing them."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = cast(MutableMapping[str, Any], _Commands())  # nothing is added to it

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


app = typer.Typer(
    name="shammah",
    cls=_Group,
    help="A chat assistant on your own machine that learns from being corrected.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"shammah {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def chat(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
    go_on: Annotated[
        bool, typer.Option("--continue", "-c", help="Chat: go on with the newest session.")
    ] = False,
) -> None:
    """A chat assistant on your own machine that learns from being corrected.

    Without a command: the chat. With standard input not a terminal: one turn a line.
    """
    if context.invoked_subcommand is None:
        from shammah.paths import Paths
        from shammah.repl.run import run

        raise typer.Exit(run(Paths.from_environment(), go_on=go_on))
