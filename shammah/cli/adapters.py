"""`shammah adapters`: what can be added to the model that serves, and taken off it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from shammah.cli import output
from shammah.cli.connection import running, started
from shammah.errors import ShammahError, UsageError

if TYPE_CHECKING:
    from shammah.protocol import AdapterPart, ExportEvent, ExportKind, ExportRequest

app = typer.Typer(help="LoRA adapters: of the versions, and imported ones.", no_args_is_help=True)


def _names(incomplete: str) -> list[tuple[str, str]]:
    """What a shell offers: nothing without a daemon."""
    try:
        with running() as client:
            found = client.adapters()
    except ShammahError:
        return []
    return [(one.name, one.base) for one in found if one.name.startswith(incomplete)]


Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="See 'shammah adapters list'.", autocompletion=_names),
]
Quantization = Annotated[
    str | None,
    typer.Option(help="Of a merged GGUF: Q4_K_M, Q5_K_M, Q6_K, Q8_0 or F16; else Q8_0."),
]


@app.command("list")
def list_(as_json: output.Json = False) -> None:
    """List the adapters; '*' marks those that serve."""
    with running() as client:
        found = client.adapters()
    if as_json:
        output.print_json(found)
    else:
        from shammah.repl import views

        output.print_grid(views.adapters(found))


@app.command()
def show(name: Name, as_json: output.Json = False) -> None:
    """Show one adapter with its base and the hashes of its files."""
    with running() as client:
        found = client.adapter(name)
    if as_json:
        output.print_json(found)
    else:
        from shammah.repl import views

        print(views.adapter(found))


@app.command()
def load(
    name: Name,
    scale: Annotated[float, typer.Option(help="Times its effect.")] = 1.0,
    as_json: output.Json = False,
) -> None:
    """Add an adapter to what serves, from the next answer on.

    For one that is loaded already: change its scale.
    """
    with started() as client:
        found = client.load_adapter(name, scale)
    if as_json:
        output.print_json(found)
    else:
        print(f"{name} is loaded at scale {scale:g}: it is added to every answer from now on")


@app.command()
def unload(name: Name, as_json: output.Json = False) -> None:
    """Take an adapter off what serves, from the next answer on."""
    with running() as client:
        found = client.unload_adapter(name)
    if as_json:
        output.print_json(found)
    else:
        print(f"{name} is unloaded")


@app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A PEFT folder.")],
    name: Annotated[
        str | None, typer.Option(help="What to call it; else the folder's name.")
    ] = None,
    base: Annotated[
        str | None, typer.Option(help="The base model that it is for; else the one in use.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Check an adapter that PEFT or TRL has saved, and add it."""
    with started() as client:
        found = client.import_adapter(path.expanduser(), name, base)
    if found.remark:
        output.say(found.remark)
    if as_json:
        output.print_json(found)
    else:
        print(f"{found.name} is imported: 'shammah adapters load {found.name}' adds it")


@app.command()
def merge(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME[=SCALE]...", help="All are merged together.", autocompletion=_names
        ),
    ],
    to: Annotated[Path, typer.Option("--to", help="The GGUF file to write; nothing may be there.")],
    quantization: Quantization = None,
    as_json: output.Json = False,
) -> None:
    """Write the base with adapters merged in as one GGUF file.

    What serves stays as it is.
    """
    _export([_part(name) for name in names], "merged-gguf", to, quantization, as_json)


@app.command()
def export(
    name: Name,
    destination: Annotated[
        Path, typer.Argument(metavar="DEST", help="A file or folder; nothing may be there.")
    ],
    kind: Annotated[
        Literal["peft", "gguf", "merged-gguf", "merged-safetensors", "ollama"],
        typer.Option("--as", help="What to write."),
    ] = "peft",
    quantization: Quantization = None,
    scale: Annotated[float, typer.Option(help="Times its effect.")] = 1.0,
    as_json: output.Json = False,
) -> None:
    """Write an adapter for other programs.

    Or its base with it merged in: see --as.
    """
    _export([_part(name, scale)], kind, destination, quantization, as_json)


@app.command()
def delete(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME...", help="Imported ones.", autocompletion=_names),
    ],
    yes: Annotated[
        bool, typer.Option("--yes", help="Ask nothing, and unload what is loaded.")
    ] = False,
) -> None:
    """Remove imported adapters with their files.

    A version's adapter goes with the version.
    """
    with running() as client:
        for name in names:
            found = client.adapter(name)
            loaded = found.scale is not None
            if not yes and found.source == "imported":
                _confirm(
                    f"{name} is loaded. Unload and delete it?" if loaded else f"Delete {name}?"
                )
            if loaded and found.source == "imported":
                client.unload_adapter(name)
            client.delete_adapter(name)
            output.say(f"{name} is deleted")


def _confirm(question: str) -> None:
    """Raises UsageError where nobody can be asked, and typer.Abort where the answer is no."""
    if not sys.stdin.isatty():
        raise UsageError("nothing is deleted without a word", hint="add --yes")
    typer.confirm(question, abort=True, err=True)


def _part(word: str, scale: float | None = None) -> AdapterPart:
    """`NAME` or `NAME=SCALE`.

    Raises:
        UsageError: the scale is not usable.
    """
    from pydantic import ValidationError

    from shammah.protocol import AdapterPart

    name, separator, written = word.partition("=")
    try:
        if separator:
            scale = float(written)
        return AdapterPart(name=name, scale=1.0 if scale is None else scale)
    except (ValueError, ValidationError) as error:
        raise UsageError(
            f"{written or scale} is no scale", hint="a scale is a number above 0, at most 100"
        ) from error


def _export(
    parts: Sequence[AdapterPart],
    kind: ExportKind,
    destination: Path,
    quantization: str | None,
    as_json: bool,
) -> None:
    from shammah.protocol import ExportRequest

    request = ExportRequest(
        adapters=list(parts),
        kind=kind,
        destination=str(destination.expanduser().absolute()),
        quantization=quantization,
    )
    done = _follow(request)
    if quantization and done.quantization != quantization:
        output.say(f"written as {done.quantization}: rows of this base do not fit {quantization}")
    if as_json:
        output.print_json(done)
    else:
        print(done.path)


def _follow(request: ExportRequest) -> ExportEvent:
    """The last event, the ones before it as a bar; Ctrl-C ends the work."""
    from contextlib import closing

    from rich.console import Console
    from rich.progress import Progress

    with (
        running() as client,
        closing(client.export_adapters(request)) as events,
        Progress(console=Console(stderr=True), transient=True) as progress,
    ):
        task = progress.add_task("exporting", total=1.0)
        for event in events:
            if event.kind == "done":
                return event
            progress.update(task, description=event.stage, completed=event.fraction)
    raise ShammahError("the export ended without an end")
