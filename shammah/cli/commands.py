"""The table of commands: which there are, and who carries them out.

Every command imports what it needs when it runs, so that `--help` answers at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from shammah import __version__
from shammah.cli import (
    adapters,
    backups,
    bases,
    config,
    daemon,
    doctor,
    examples,
    feedback,
    jobs,
    monitor,
    questions,
    sessions,
    versions,
)

app = typer.Typer(
    name="shammah",
    help="A chat assistant on your own machine that learns from being corrected.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("ask")(questions.ask)
app.command("why")(questions.why)
app.command("feedback")(feedback.feedback)
app.command("train")(jobs.train)
app.command("status")(daemon.status)
app.command("backup")(backups.backup)
app.command("restore")(backups.restore)
app.command("doctor")(doctor.doctor)
app.command("tui")(monitor.tui)
app.add_typer(sessions.app, name="sessions")
app.add_typer(examples.app, name="examples")
app.add_typer(jobs.app, name="jobs")
app.add_typer(versions.app, name="versions")
app.add_typer(bases.app, name="model")
app.add_typer(adapters.app, name="adapters")
app.add_typer(daemon.app, name="daemon")
app.add_typer(config.app, name="config")


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
