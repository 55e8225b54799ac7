"""`shammah versions`: what was learned, version by version."""

from __future__ import annotations

import random
import sys
from typing import Annotated

import typer

from shammah.cli import output
from shammah.cli.connection import running
from shammah.errors import UsageError

app = typer.Typer(help="What was learned, version by version.", no_args_is_help=True)


@app.command("list")
def list_(as_json: output.Json = False) -> None:
    """List the versions, newest first; '*' serves."""
    with running() as client:
        found = client.versions()
    if as_json:
        output.print_json(found)
    else:
        from shammah.repl import views

        output.print_grid(views.versions(found))


@app.command()
def show(
    number: Annotated[int, typer.Argument(metavar="N", help="0 is the base itself.")],
    file: output.File = None,
    html: output.Html = False,
    as_json: output.Json = False,
) -> None:
    """Show one version with its manifest and report."""
    output.require_html(file, html, as_json)
    with running() as client:
        found = client.version(number)
        if html:
            if found.job_id is None:
                raise UsageError(
                    f"version {number} is the base itself: no gate has judged it",
                    hint="'shammah versions list' shows the others",
                )
            output.write_page(client, found.job_id, file, f"shammah-version-{number}.html")
            return
    if as_json:
        output.print_json(found)
    else:
        from shammah.repl import views

        print(views.version(found))


@app.command()
def compare(
    words: Annotated[
        list[str], typer.Argument(metavar="[A B] QUESTION", help="Else the last two that served.")
    ],
    blind: Annotated[
        bool, typer.Option("--blind", help="Without names: say which is better.")
    ] = False,
    as_json: output.Json = False,
) -> None:
    """Ask two versions the same question and show both answers."""
    from rich.console import Console

    from shammah.repl import comparing

    wish = comparing.parse(" ".join(words))
    if blind and (as_json or not sys.stdin.isatty()):
        raise UsageError("a blind comparison needs a terminal", hint="leave --blind out")
    with running() as client:
        found = client.compare(wish.question, wish.first, wish.second)
        if blind:
            better = comparing.ask(found, bool(random.getrandbits(1)), Console())
            client.vote(found.first.version, found.second.version, better)
            print(comparing.verdict(found, better))
        elif as_json:
            output.print_json(found)
        else:
            comparing.show(found, Console())


@app.command()
def delete(
    numbers: Annotated[list[int], typer.Argument(metavar="N...", help="Not the active one.")],
) -> None:
    """Remove versions with their files.

    No rollback leads to them any more.
    """
    with running() as client:
        for number in numbers:
            client.delete_version(number)
            output.say(f"version {number} is deleted")


@app.command()
def prune(
    keep: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Newest ones of each base to keep; else learning.keep_versions.",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: output.Json = False,
) -> None:
    """Remove the files of older versions.

    The best, the active one and its rollback stay.
    """
    from shammah.repl import views

    with running() as client:
        found = client.prune_versions(keep, dry_run=True)
        if dry_run or not found.pruned:
            done = False
        else:
            if not yes:
                output.say(views.prune(found, done=False))
                _confirm("Remove their files?", "nothing is pruned", "add --yes, or --dry-run")
            found, done = client.prune_versions(keep), True
    if as_json:
        output.print_json(found)
    else:
        print(views.prune(found, done=done))


def _confirm(question: str, without: str, hint: str) -> None:
    """Raises UsageError where nobody can be asked, and typer.Abort where the answer is no."""
    if not sys.stdin.isatty():
        raise UsageError(f"{without} without a word", hint=hint)
    typer.confirm(question, abort=True, err=True)


@app.command()
def push(
    number: Annotated[int, typer.Argument(metavar="N", help="See 'shammah versions list'.")],
    repository: Annotated[
        str, typer.Argument(metavar="hf:OWNER/NAME", help="Made if there is none.")
    ],
    public: Annotated[
        bool, typer.Option("--public", help="Everybody may read it; else it is private.")
    ] = False,
    message: Annotated[str | None, typer.Option(help="Of the commit.", show_default=False)] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    as_json: output.Json = False,
) -> None:
    """Put a version's adapter on the Hugging Face hub.

    With a model card.
    """
    from shammah.repl import pushing

    with running() as client:
        if not yes:
            output.say(pushing.before_push(client.version(number), repository, public=public))
            _confirm("Push it?", "nothing is pushed", "add --yes")
        receipt = client.push_version(number, repository, public=public, message=message)
    if as_json:
        output.print_json(receipt)
    else:
        print(pushing.pushed(receipt))


@app.command()
def rollback(
    number: Annotated[
        int | None, typer.Argument(metavar="N", help="Else the one that was active before.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Serve version N again."""
    with running() as client:
        active = client.rollback(number)
    if as_json:
        output.print_json(active)
    else:
        print(f"version {active.number} of {active.base} serves now")
