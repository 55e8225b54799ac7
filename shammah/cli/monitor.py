"""`shammah tui`: becomes the monitor, a program of its own that this package never imports."""

from __future__ import annotations

import os
from typing import Annotated

import typer


def tui(
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Only watch: offer nothing that changes anything.")
    ] = False,
    web: Annotated[
        bool, typer.Option("--web", help="In a browser on this machine, behind a token.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Of --web; 8742 if none is given.")
    ] = None,
) -> None:
    """Watch and steer the model, the examples and the jobs."""
    from shammah.launch import PYTHON

    wishes = ["--read-only"] * read_only + ["--web"] * web
    if port is not None:
        wishes += ["--port", str(port)]
    os.execv(PYTHON[0], [*PYTHON, "shammah_tui", *wishes])
