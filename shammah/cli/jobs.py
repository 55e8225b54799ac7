"""`shammah train` and `shammah jobs`: lessons that run, wait or have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from shammah.cli import output
from shammah.cli.connection import running, started
from shammah.errors import JobError
from shammah.records import JobState, LessonMode, Mode

if TYPE_CHECKING:
    from shammah.client import Client
    from shammah.protocol import JobView

app = typer.Typer(help="Jobs that run, wait or have ended.", no_args_is_help=True)

MODES: dict[str, LessonMode] = {"consolidate": Mode.CONSOLIDATE, "quick": Mode.QUICK}

Id = Annotated[int, typer.Argument(metavar="ID", help="See 'shammah jobs list'.")]


def train(
    mode: Annotated[
        Literal["consolidate", "quick"],
        typer.Option(help="consolidate: all anew; quick: go on from the active version."),
    ] = "consolidate",
    wait: Annotated[bool, typer.Option("--wait", help="Show progress until it ends.")] = False,
    as_json: output.Json = False,
) -> None:
    """Queue a job now."""
    with started() as client:
        job = client.train(MODES[mode])
        if wait:
            job = _wait_for(client, job)
            if job.state.is_final:
                client.mark_told(job.id)
    _print(job, as_json)
    if wait and job.state is not JobState.PROMOTED:
        raise JobError(
            f"job {job.id} has not promoted a version: {job.state}",
            hint=job.hint or f"see 'shammah jobs show {job.id}'",
        )


def _wait_for(client: Client, job: JobView) -> JobView:
    from rich.console import Console

    from shammah.repl import progress
    from shammah.repl.follow import follow

    try:
        progress.show(follow(client, job.id), Console(stderr=True))
    except KeyboardInterrupt:
        output.say(f"job {job.id} goes on: see 'shammah jobs show {job.id}'")
        raise
    return client.job(job.id)


@app.command("list")
def list_(as_json: output.Json = False) -> None:
    """List the jobs, newest first."""
    with running() as client:
        found = client.jobs()
    if as_json:
        output.print_json(found)
    else:
        from shammah.repl import views

        output.print_grid(views.jobs(found))


@app.command()
def show(
    job_id: Id,
    file: output.File = None,
    html: output.Html = False,
    as_json: output.Json = False,
) -> None:
    """Show one job: its progress, or its result and report."""
    output.require_html(file, html, as_json)
    with running() as client:
        if html:
            output.write_page(client, job_id, file, f"shammah-job-{job_id}.html")
            return
        found = client.job(job_id)
    if as_json:
        output.print_json(found)
    else:
        from shammah.repl import views

        print(views.job(found))


@app.command()
def cancel(job_id: Id, as_json: output.Json = False) -> None:
    """End a job; the active version keeps serving."""
    with running() as client:
        job = client.cancel_job(job_id)
    _print(job, as_json)


@app.command()
def pause(job_id: Id, as_json: output.Json = False) -> None:
    """Stop a job where it is, until it is resumed."""
    with running() as client:
        job = client.pause_job(job_id)
    _print(job, as_json)


@app.command()
def resume(job_id: Id, as_json: output.Json = False) -> None:
    """Let a paused job go on."""
    with running() as client:
        job = client.resume_job(job_id)
    _print(job, as_json)


def _print(job: JobView, as_json: bool) -> None:
    from shammah.repl import wording

    if as_json:
        output.print_json(job)
    elif job.state.is_final:
        print(wording.job_view_end(job))
    else:
        print(f"job {job.id} is {wording.job_state(job)}")
