"""`shammah examples`: what was recorded to be learned."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shammah.cli import output
from shammah.cli.connection import running, started
from shammah.errors import UsageError
from shammah.paths import Paths
from shammah.records import ExampleStatus

if TYPE_CHECKING:
    from shammah.repl.asker import Asker

app = typer.Typer(help="What was recorded to be learned.", no_args_is_help=True)

Id = Annotated[int, typer.Argument(metavar="ID", help="See 'shammah examples list'.")]


@app.command("list")
def list_(
    status: Annotated[ExampleStatus | None, typer.Option(help="Only these.")] = None,
    as_json: output.Json = False,
) -> None:
    """List the examples, newest first.

    Forgotten ones with --status forgotten.
    """
    with running() as client:
        found = client.examples(status)
    if as_json:
        output.print_json(found)
    else:
        from shammah.repl import views

        output.print_grid(views.examples(found))


@app.command()
def show(example_id: Id, as_json: output.Json = False) -> None:
    """Show one example with its whole context."""
    with running() as client:
        found = client.example(example_id)
    if as_json:
        output.print_json(found)
    else:
        from shammah.repl import views

        print(views.example(found))


@app.command()
def forget(
    example_id: Id,
    now: Annotated[
        bool, typer.Option("--now", help="Teach the rest at once, and wait for it.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Ask nothing; delete the versions that know it.")
    ] = False,
    as_json: output.Json = False,
) -> None:
    """Erase an example's words everywhere, and train on it no more."""
    from rich.console import Console

    from shammah.repl import progress
    from shammah.repl.forget import delete_obsolete, forget

    with running() as client:
        asker = None if yes or as_json else _asker()
        receipt = forget(
            client,
            example_id,
            asker=asker,
            say=output.say if as_json else print,
            show_progress=lambda events: progress.show(events, Console(stderr=True)),
            now=now,
        )
        if receipt is not None:
            delete_obsolete(client, asker=asker, say=output.say, yes=yes)
            if as_json:
                output.print_json(receipt)


@app.command()
def review(as_json: output.Json = False) -> None:
    """Go through what waits for your word.

    With --json, or without a terminal: list it.
    """
    with running() as client:
        if as_json:
            output.print_json(client.inbox())
        elif asker := _asker():
            from shammah.repl.review import review

            review(client, asker)
        else:
            from shammah.repl import views

            output.print_grid(views.inbox(client.inbox()))


@app.command()
def edit(
    example_id: Id,
    target: Annotated[
        str | None, typer.Option(help="The answer to teach; else your editor opens.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Change what the answer should have been; the question stays."""
    with running() as client:
        if target is None:
            from shammah.repl import editor

            target = editor.edit(client.example(example_id).target or "")
        receipt = client.fix(target, example_id)
    if as_json:
        output.print_json(receipt)
    else:
        print(receipt.message)


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="JSON lines; - is standard input.")],
    as_json: output.Json = False,
) -> None:
    """Add examples from a file of chat or preference lines.

    The form is that of OpenAI's fine-tuning files.
    Exit code 1 if a line was refused; the others are added.
    """
    lines = _read(file)
    with started() as client:
        receipt = client.import_examples(lines, "stdin" if file == "-" else Path(file).name)
    if as_json:
        output.print_json(receipt)
    else:
        for refused in receipt.refused:
            output.say(f"line {refused.line}: {refused.problem}")
        print(receipt.message)
    if receipt.refused:
        raise typer.Exit(1)


@app.command()
def export(
    file: Annotated[str, typer.Argument(metavar="FILE", help="- is standard output.")],
) -> None:
    """Write what may be taught as lines that 'import' reads."""
    with running() as client:
        lines = client.export_examples()
    if file == "-":
        print(lines, end="")
        return
    from shammah.files import write_atomically

    write_atomically(Path(file).absolute(), lines.encode())
    output.say(f"wrote {len(lines.splitlines())} examples to {file}")


def _read(file: str) -> str:
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return data.decode()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8 at byte {error.start}") from error


def _asker() -> Asker | None:
    """Who can be asked: nobody without a terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    from shammah import config
    from shammah.repl.drawing import Drawing
    from shammah.repl.notices import Notices
    from shammah.repl.screen import TerminalScreen

    chat = config.load(Paths.from_environment().config_file).chat
    drawing = Drawing.on_terminal(chat.theme)
    return TerminalScreen(drawing, Notices(drawing.say), vi=chat.keys == "vi")
