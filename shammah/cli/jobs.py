"""`shammah train` and `shammah jobs`: lessons that run, wait or have ended."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from shammah.cli import output
from shammah.cli.connection import running, started
from shammah.errors import JobError
from shammah.records import JobState, LessonMode, Mode

if TYPE_CHECKING:
    from shammah.client import Client
    from shammah.protocol import JobEvent, JobView, PlanView, StepView

app = typer.Typer(help="Jobs that run, wait or have ended.", no_args_is_help=True)

MODES: dict[str, LessonMode] = {"consolidate": Mode.CONSOLIDATE, "quick": Mode.QUICK}

Id = Annotated[int, typer.Argument(metavar="ID", help="See 'shammah jobs list'.")]


def train(
    mode: Annotated[
        Literal["consolidate", "quick"],
        typer.Option(help="consolidate: all anew; quick: go on from the active version."),
    ] = "consolidate",
    preset: Annotated[
        Literal["quick", "standard", "deep", "custom"],
        typer.Option(help="How thoroughly; custom: standard with options of your own."),
    ] = "standard",
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="One of the [training] settings, for this job."
        ),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Show progress until it ends.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how it would compute, and begin nothing.")
    ] = False,
    as_json: output.Json = False,
) -> None:
    """Queue a job now."""
    from shammah.options import parse

    given = parse(options or [])
    with started() as client:
        if dry_run:
            _print_plan(client.plan(MODES[mode], preset, given), as_json)
            return
        job = client.train(MODES[mode], preset, given)
        if job.estimate and not as_json:
            from shammah.repl.estimates import in_words

            output.say(f"it will take about {in_words(job.estimate)}")
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
def logs(
    job_id: Id,
    to_end: Annotated[bool, typer.Option("--follow", help="Go on until the job ends.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document a line.")] = False,
) -> None:
    """Print the states of a job, and the steps of its training."""
    with running() as client:
        for entry in _log(client, job_id, to_end=to_end):
            print(entry.model_dump_json() if as_json else _log_line(entry), flush=True)


def _log(client: Client, job_id: int, *, to_end: bool) -> Iterator[JobEvent | StepView]:
    """The states so far with the steps after the newest start of training, then what is new."""
    from shammah.repl.follow import follow

    states, steps = client.job_states(job_id), client.job_steps(job_id)
    starts = [n for n, one in enumerate(states) if one.data["state"] == JobState.TRAINING]
    trained = starts[-1] + 1 if starts else len(states)
    yield from states[:trained]
    yield from steps
    yield from states[trained:]
    if not to_end:
        return
    seen = states[-1].id if states else 0
    for event in follow(client, job_id):
        if event.id <= seen:
            continue
        told, steps = len(steps), client.job_steps(job_id)  # fewer after a return to a checkpoint
        yield from steps[told:]
        if event.kind == "state":
            yield event


def _log_line(entry: JobEvent | StepView) -> str:
    from shammah.protocol import StepView
    from shammah.wording import one_line

    if isinstance(entry, StepView):
        left_out = {"step"} if entry.skipped else {"step", "skipped"}
        numbers = entry.model_dump(exclude=left_out, exclude_none=True).items()
        said = [f"{name.replace('_', ' ')} {value:.4g}" for name, value in numbers]
        return " " * 20 + " · ".join([f"step {entry.step}", *said])
    at = datetime.fromisoformat(entry.at).astimezone()
    state, summary, hint = (one_line(entry.data.get(name)) for name in ("state", "summary", "hint"))
    line = f"{at:%Y-%m-%d %H:%M:%S} {state}" + (f": {summary}" if summary else "")
    return f"{line} ({hint})" if hint else line


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


def _print_plan(plan: PlanView, as_json: bool) -> None:
    from shammah.repl import estimates

    if as_json:
        output.print_json(plan)
    else:
        print(estimates.plan(plan))


def _print(job: JobView, as_json: bool) -> None:
    from shammah.repl import wording

    if as_json:
        output.print_json(job)
    elif job.state.is_final:
        print(wording.job_view_end(job))
    else:
        print(f"job {job.id} is {wording.job_state(job)}")
