"""`shammah model`: the base models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shammah.cli import output
from shammah.cli.connection import running, started

app = typer.Typer(help="Base models.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="See 'shammah model list'.")]


@app.command()
def add(
    path: Annotated[Path, typer.Argument(metavar="PATH.gguf", help="A GGUF file.")],
    name: Annotated[str | None, typer.Option(help="What to call it; else the file's name.")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="The Hugging Face folder of the same model.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Check a base model and add it."""
    with started() as client:
        base = client.add_base(path.expanduser(), name, weights and weights.expanduser())
    if as_json:
        output.print_json(base)
    else:
        print(f"{base.name} is added: 'shammah model use {base.name}' serves it")


@app.command("list")
def list_(as_json: output.Json = False) -> None:
    """List the base models; '*' marks the one that serves."""
    with running() as client:
        found = client.bases()
    if as_json:
        output.print_json(found)
    else:
        from shammah.repl import views

        output.print_grid(views.bases(found))


@app.command()
def use(
    name: Name,
    now: Annotated[
        bool, typer.Option("--now", help="Serve it at once, without what was taught.")
    ] = False,
    as_json: output.Json = False,
) -> None:
    """Serve and teach this base model from now on; first it is taught what was taught."""
    with running() as client:
        base = client.use_base(name, now=now)
    if as_json:
        output.print_json(base)
    else:
        from shammah.repl import views

        print(views.use_of(base))


@app.command()
def remove(name: Name) -> None:
    """Remove a base model; the GGUF file it was added from stays."""
    with running() as client:
        client.remove_base(name)
    output.say(f"{name} is removed")
