"""`shammah versions`: what was learned, version by version."""

from __future__ import annotations

from typing import Annotated

import typer

from shammah.cli import output
from shammah.cli.connection import running

app = typer.Typer(help="What was learned, version by version.", no_args_is_help=True)


@app.command("list")
def list_(as_json: output.Json = False) -> None:
    """List the versions, newest first; '*' marks the one that serves."""
    with running() as client:
        found = client.versions()
    if as_json:
        output.print_json(found)
    else:
        from shammah.repl import views

        output.print_grid(views.versions(found))


@app.command()
def show(
    number: Annotated[int, typer.Argument(metavar="N", help="0 is the base itself.")],
    as_json: output.Json = False,
) -> None:
    """Show one version with its manifest and report."""
    with running() as client:
        found = client.version(number)
    if as_json:
        output.print_json(found)
    else:
        from shammah.repl import views

        print(views.version(found))


@app.command()
def rollback(
    number: Annotated[
        int | None, typer.Argument(metavar="N", help="Else the one that was active before.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Serve version N again."""
    with running() as client:
        active = client.rollback(number)
    if as_json:
        output.print_json(active)
    else:
        print(f"version {active.number} of {active.base} serves now")
