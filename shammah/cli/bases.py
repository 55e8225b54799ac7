"""`shammah model`: the base models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shammah.cli import output
from shammah.cli.connection import running, started
from shammah.errors import NotFound

app = typer.Typer(help="Base models.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="See 'shammah model list'.")]


#: How a model on the Hugging Face hub is named; anything else is a path.
HUB = "hf:"


@app.command()
def add(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="PATH.gguf, or hf:OWNER/NAME[/FILE.gguf or :Q8_0][@REVISION] on the Hugging Face "
            "hub.",
        ),
    ],
    name: Annotated[str | None, typer.Option(help="What to call it; else the file's name.")] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="The Hugging Face folder of the same model, or hf:OWNER/NAME."),
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Check a base model and add it; one on the hub is fetched first."""
    from shammah.cli.arriving import arriving

    with started() as client, arriving() as show:
        base = client.add_base(_place(model), name, weights and _place(weights), show)
    if as_json:
        output.print_json(base)
    else:
        print(f"{base.name} is added: 'shammah model use {base.name}' serves it")


def _place(text: str) -> Path | str:
    return text if text.startswith(HUB) else Path(text).expanduser()


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
def show(name: Name, as_json: output.Json = False) -> None:
    """Show a base model: its file, and whether it can be taught."""
    with running() as client:
        found = next((base for base in client.bases() if base.name == name), None)
    if found is None:
        raise NotFound(f"no base model is called {name!r}", hint="'shammah model list' shows them")
    if as_json:
        output.print_json(found)
    else:
        from shammah.repl import views

        print(views.base(found))


@app.command()
def use(
    name: Name,
    now: Annotated[
        bool, typer.Option("--now", help="Serve it at once, without what was taught.")
    ] = False,
    as_json: output.Json = False,
) -> None:
    """Serve and teach this base model from now on.

    First it is taught what was taught.
    """
    with running() as client:
        base = client.use_base(name, now=now)
    if as_json:
        output.print_json(base)
    else:
        from shammah.repl import views

        print(views.use_of(base))


@app.command()
def remove(name: Name) -> None:
    """Remove a base model.

    A GGUF file that was added by its path stays, one from the hub goes.
    """
    with running() as client:
        client.remove_base(name)
    output.say(f"{name} is removed")
