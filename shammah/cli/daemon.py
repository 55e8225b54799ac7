"""`shammah daemon` and `shammah status`: the process behind everything."""

from __future__ import annotations

import os

import typer

from shammah.cli import output
from shammah.cli.connection import running
from shammah.paths import Paths

app = typer.Typer(help="The process behind everything.", no_args_is_help=True)


@app.command()
def run() -> None:
    """Be the daemon, in the foreground."""
    from shammah.launch import COMMAND

    os.execv(COMMAND[0], COMMAND)


@app.command()
def start() -> None:
    """Start the daemon in the background."""
    from shammah import launch

    launch.start(Paths.from_environment(), output.say)


@app.command()
def stop() -> None:
    """Stop the daemon; a running job goes on when it starts again."""
    from shammah import launch

    launch.stop(Paths.from_environment(), output.say)


@app.command()
def restart() -> None:
    """Stop the daemon if it runs, and start it."""
    from shammah import launch

    launch.restart(Paths.from_environment(), output.say)


def status(as_json: output.Json = False) -> None:
    """Show the daemon, the model, and how far the next lesson is."""
    with running() as client:
        now = client.status()
    if as_json:
        output.print_json(now)
    else:
        from shammah.repl import views

        print(views.status(now))
