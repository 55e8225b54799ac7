"""A job's report as a page: gathers what the daemon knows and fills the template.

Reaches the daemon through the client; knows no file of a job.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment, PackageLoader

from shammah import __version__
from shammah.client import Client
from shammah.errors import NotFound, UsageError
from shammah.protocol import JobView, StepView
from shammah.reports import plots

#: What stands for a question whose example was erased.
FORGOTTEN = "(forgotten)"

#: Letters of a question beside its line in a plot.
_NAME_LETTERS = 42


@dataclass(frozen=True)
class Findings:
    """A job, what its training logged, and the questions it was about, by example id."""

    job: JobView
    report: dict[str, Any]
    steps: Sequence[StepView] = ()
    questions: dict[int, str] = field(default_factory=dict)


def gather(client: Client, job_id: int) -> Findings:
    """What the daemon knows of a judged job.

    Raises:
        NotFound: no such job.
        UsageError: the gate has not judged it.
    """
    job = client.job(job_id)
    if job.report is None:
        raise UsageError(
            f"job {job_id} has no report: it is {job.state}",
            hint="only a job that the gate has judged has one",
        )
    ids = [verdict["example_id"] for verdict in job.report["verdicts"]]
    return Findings(
        job=job,
        report=job.report,
        steps=client.job_steps(job_id),
        questions={example_id: _question(client, example_id) for example_id in ids},
    )


def render(found: Findings) -> str:
    """The page: one HTML text with its style and its plots inside."""
    environment = Environment(
        loader=PackageLoader("shammah.reports", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["verdict"] = lambda verdict: str(verdict).replace("_", " ")
    return environment.get_template("page.html.j2").render(
        shammah=__version__,
        job=found.job,
        report=found.report,
        questions=found.questions,
        plots=_plots(found),
    )


def _plots(found: Findings) -> dict[str, str]:
    """SVG texts by name; a plot without data is left out."""
    report, drawn = found.report, {}
    if found.steps:
        drawn["loss"] = plots.loss_curve(
            [step.nll for step in found.steps], [step.kl for step in found.steps]
        )
    verdicts = report["verdicts"]
    if verdicts:
        drawn["nll"] = plots.nll_pairs(
            [_name(v["example_id"], found.questions[v["example_id"]]) for v in verdicts],
            [v["nll_before"] for v in verdicts],
            [v["nll_after"] for v in verdicts],
        )
    if report["kl"]:
        drawn["kl"] = plots.kl_histogram([item["kl"] for item in report["kl"]], report["max_kl"])
    return drawn


def _name(example_id: int, question: str) -> str:
    text = " ".join(question.split())
    clipped = text if len(text) <= _NAME_LETTERS else text[: _NAME_LETTERS - 1] + "…"
    return f"{example_id}: {clipped}"


def _question(client: Client, example_id: int) -> str:
    try:
        return client.example(example_id).question or FORGOTTEN
    except NotFound:
        return FORGOTTEN
