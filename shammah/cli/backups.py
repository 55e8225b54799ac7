"""`shammah backup` and `shammah restore`: everything in one file, and back."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shammah.cli import output
from shammah.cli.connection import started
from shammah.errors import UsageError
from shammah.paths import Paths

if TYPE_CHECKING:
    from shammah.client import Client


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Replaced if it is there.")],
    models: Annotated[
        bool,
        typer.Option("--models/--no-models", help="With the versions, or only what they know."),
    ] = True,
) -> None:
    """Write everything into one file, while the daemon works."""
    from shammah.files import building

    if file.is_dir() or not file.absolute().parent.is_dir():
        raise UsageError(f"{file} cannot be written", hint="name a file in a folder that is there")
    with started() as client, building(file.absolute()) as partial:
        _receive(client, partial, models)
    what = "everything" if models else "everything but the versions"
    output.say(f"{file} holds {what} ({file.stat().st_size / 1e6:.1f} MB): keep it to yourself")


def _receive(client: Client, path: Path, models: bool) -> None:
    from rich.console import Console
    from rich.progress import Progress

    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with (
        os.fdopen(descriptor, "wb") as out,
        client.backup(models=models) as (size, pieces),
        Progress(console=Console(stderr=True), transient=True) as progress,
    ):
        task = progress.add_task("backing up", total=size)
        for piece in pieces:
            out.write(piece)
            progress.advance(task, len(piece))


def restore(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What 'shammah backup' has written.")
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Replace the data that is there now.")
    ] = False,
) -> None:
    """Put a backup in the place of everything.

    The daemon is stopped meanwhile.
    """
    from shammah import launch

    paths = Paths.from_environment()
    ran = launch.end(paths)
    try:
        command = [*launch.PYTHON, "shammah_daemon.restore", str(file.absolute())]
        done = subprocess.run([*command, *(["--force"] if force else [])], check=False)
    finally:
        if ran:
            launch.start(paths, output.say)
    if done.returncode:
        raise typer.Exit(done.returncode)
    output.say(f"restored from {file}")
