"""`shammah sessions`: the conversations that are kept."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from shammah.cli import output
from shammah.cli.connection import running
from shammah.errors import UsageError

app = typer.Typer(help="The conversations that are kept.", no_args_is_help=True)

Id = Annotated[int, typer.Argument(metavar="ID", help="See 'shammah sessions list'.")]


@app.command("list")
def list_(as_json: output.Json = False) -> None:
    """List the sessions, newest first."""
    _list("", as_json)


@app.command()
def search(
    words: Annotated[list[str], typer.Argument(metavar="WORDS...", help="All in one exchange.")],
    as_json: output.Json = False,
) -> None:
    """Search in all that was said; the best matches first."""
    _list(" ".join(words), as_json)


@app.command()
def show(session_id: Id, as_json: output.Json = False) -> None:
    """Show what was said in one."""
    with running() as client:
        found = client.session(session_id)
    if as_json:
        output.print_json(found)
    else:
        from shammah.repl import transcript
        from shammah.wording import printable

        print(printable(transcript.as_markdown(found)), end="")


@app.command()
def export(
    session_id: Id,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Else standard output.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Write one as markdown, or as JSON.

    JSON with --json, or where FILE ends in .json.
    """
    from shammah.repl import sessions, transcript

    with running() as client:
        found = client.session(session_id)
    is_json = as_json or (file is not None and file.suffix.lower() == ".json")
    text = transcript.as_json(found) if is_json else transcript.as_markdown(found)
    if file is None:
        print(text, end="")
    else:
        sessions.write_new(file, text)
        output.say(f"written: {file}")


@app.command()
def delete(
    session_ids: Annotated[list[int], typer.Argument(metavar="ID...")],
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    as_json: output.Json = False,
) -> None:
    """Erase sessions for good.

    What was asked and answered, and the lines typed in them.
    """
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("nobody can be asked here", hint="add --yes")
        typer.confirm(f"Delete session {', '.join(map(str, session_ids))} for good?", abort=True)
    with running() as client:
        receipts = [client.delete_session(number) for number in session_ids]
    if as_json:
        output.print_json(receipts)
    else:
        for receipt in receipts:
            print(receipt.message)


def _list(words: str, as_json: bool) -> None:
    with running() as client:
        found = client.sessions(words)
    if as_json:
        output.print_json(found)
    else:
        from shammah.repl import views

        output.print_grid(views.sessions(found, search=words))
