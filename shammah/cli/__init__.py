"""The command line: parses, calls the client, prints; holds no logic of its own.

Every command imports what it needs when it runs, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer

from shammah import __version__
from shammah.cli import (
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
from shammah.errors import ShammahError

INTERRUPTED = 130

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


def main() -> NoReturn:
    """Run the command line; the one place where errors become messages and exit codes."""
    try:
        app()
        code = 0
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else int(done.code is not None)
    except ShammahError as error:
        code = _fail(error)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        code = 1
    except Exception as error:
        code = _crash(error)
    sys.exit(_flush(code))


def _fail(error: ShammahError) -> int:
    from shammah.repl.wording import error_lines

    print("\n".join(error_lines(error)), file=sys.stderr)
    return error.exit_code


def _crash(error: Exception) -> int:
    from shammah.paths import Paths
    from shammah.repl.crashes import record

    return _fail(ShammahError(record(error, Paths.from_environment())))


def _flush(code: int) -> int:
    """Give out what is buffered; a reader that has gone away is no error worth a word."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left in the buffer would fail again, loudly, when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code or 1
    return code
