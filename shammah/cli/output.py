"""How commands print: data on stdout as JSON or text, remarks on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel

    from shammah.repl.views import Grid

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def say(text: str) -> None:
    """A remark, not data."""
    print(text, file=sys.stderr, flush=True)


def print_json(data: BaseModel | Sequence[BaseModel] | dict[str, Any]) -> None:
    print(json.dumps(_plain(data), indent=2, ensure_ascii=False))


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
