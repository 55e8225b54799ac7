"""How commands print: data on stdout as JSON or text, remarks on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shammah.errors import UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from shammah.client import Client
    from shammah.repl.views import Grid

Html = Annotated[
    bool, typer.Option("--html", help="Write the report as a page with plots, and print its path.")
]
File = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", help="Where --html writes.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def say(text: str) -> None:
    """A remark, not data."""
    print(text, file=sys.stderr, flush=True)


def print_json(data: BaseModel | Sequence[BaseModel] | dict[str, Any]) -> None:
    print(json.dumps(_plain(data), indent=2, ensure_ascii=False))


def write_page(client: Client, job_id: int, file: Path | None, default: str) -> None:
    """The report of a judged job as a page; its path is what is printed.

    Raises:
        UsageError: the job has no report, or the file cannot be written.
    """
    from shammah.reports import page

    path = file or Path(default)
    text = page.render(page.gather(client, job_id))
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}", hint="name another file after --html"
        ) from error
    print(path)


def require_html(file: Path | None, html: bool, as_json: bool) -> None:
    """Raises UsageError where a file is named that nothing writes, or two forms are asked for."""
    if file is not None and not html:
        raise UsageError(f"{file} is not written without --html", hint="add --html")
    if html and as_json:
        raise UsageError("--html and --json are two forms of the same", hint="choose one")


def print_grid(grid: Grid) -> None:
    from rich.console import Console

    from shammah.repl import grids

    grids.show(grid, Console())


def _plain(data: BaseModel | Sequence[BaseModel] | dict[str, Any]) -> Any:
    if isinstance(data, dict):
        return data
    if isinstance(data, Sequence):
        return [item.model_dump(mode="json") for item in data]
    return data.model_dump(mode="json")
