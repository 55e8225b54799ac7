"""How a job ended: as it is stored, and in words. Knows no process and no engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shammah.gate.forgotten import Proof
from shammah.gate.judge import Report
from shammah.records import Job, JobState, Judgement, Verdict, Version
from shammah.store.database import Store
from shammah.training.spec import JobSpec


def summary_of(job: Job) -> str:
    """One sentence on how a job ended, or an empty one."""
    report = job.report or {}
    match job.state:
        case JobState.PROMOTED:
            unlearned = "".join(f"; {Proof(**proof)}" for proof in report.get("forgotten", []))
            return f"{report['summary']}{unlearned}. Version {job.version} answers now."
        case JobState.REJECTED:
            failed = "; ".join(c["detail"] for c in report["checks"] if not c["passed"])
            return f"The lesson was rejected, the active version stays: {failed}."
        case JobState.FAILED:
            return f"The lesson failed: {job.error}."
        case JobState.CANCELLED:
            return "The lesson was cancelled."
        case _:
            return ""


def naming_sample(report: Report, spec: JobSpec) -> Report:
    """The report, saying so where only a sample of the earlier examples was asked."""
    earlier = [example["judged"] for example in spec.examples if not example["new"]]
    if all(earlier):
        return report
    said = f"{sum(earlier)} of {len(earlier)} earlier examples were asked, a sample"
    return replace(report, warnings=[*report.warnings, said])


def naming_left_out(report: Report, left_out: Sequence[int]) -> Report:
    """The report, saying so where examples were too long for the memory that there was."""
    if not left_out:
        return report
    said = (
        f"too long to be taught in this machine's memory: example {', '.join(map(str, left_out))}"
    )
    return replace(report, warnings=[*report.warnings, said])


def naming_too_long(report: Report, too_long: Sequence[int]) -> Report:
    """The report, saying so where examples are longer than lessons take."""
    if not too_long:
        return report
    said = (
        f"longer than training.max_length, so not taught: example {', '.join(map(str, too_long))}"
    )
    return replace(report, warnings=[*report.warnings, said])


def judgements(report: Report) -> list[Judgement]:
    """The verdicts of a report, as they are stored per example."""
    stored = []
    for item in report.as_dict()["verdicts"]:
        example_id, verdict = item.pop("example_id"), item.pop("verdict")
        stored.append(Judgement(example_id, Verdict(verdict), item))
    return stored


def promote(store: Store, version: Version, spec: JobSpec, report: Report) -> Job:
    """Record the version; what its first adapter knew already, it was taught too."""
    before = store.versions.taught(spec.start_version)
    own = {example["id"]: example["content_hash"] for example in spec.examples}
    trained = {example["id"] for example in spec.examples if example["trained"]}
    taught = before | own
    return store.promote(version, taught, judgements(report), inherited=taught.keys() - trained)
