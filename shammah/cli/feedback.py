"""`shammah feedback`: what the user says about an answer."""

from __future__ import annotations

from typing import Annotated

import typer

from shammah.cli import output
from shammah.cli.connection import started
from shammah.records import Level


def feedback(
    level: Annotated[Level, typer.Argument(help="How much it matters.")],
    inference_id: Annotated[
        str | None, typer.Option("--id", help="The answer's id; else the newest answer.")
    ] = None,
    note: Annotated[str | None, typer.Option(help="What was wrong, or right.")] = None,
    correction: Annotated[
        str | None, typer.Option(help="What the answer should have been.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Record feedback on the newest answer, or on another one."""
    with started() as client:
        receipt = client.feedback(level, inference_id, note, correction)
    if as_json:
        output.print_json(receipt)
    else:
        print(receipt.message)
