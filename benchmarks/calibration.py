"""`calibration`: does the gate pass what is known to be good and reject what is known to be bad?

Resumable: adapters and verdicts stay in a work folder, so that it can be run in pieces.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.candidates import (
    ARMS,
    REJECTED_TOKENS,
    Arm,
    Form,
    answers,
    held,
    make,
    remove_files,
    running,
    train,
    workshop,
)
from benchmarks.daemon import Say
from benchmarks.figures import Section, seconds
from benchmarks.lessons import Lesson
from shammah.config import Config
from shammah.errors import UsageError
from shammah.gate.evidence import Before, Origin
from shammah.gate.examine import examine
from shammah.gate.judge import Report, judge
from shammah.gate.measure import measure_targets
from shammah.records import Base
from shammah.training.validation import at_step
from shammah_daemon.bases import load_reference
from shammah_daemon.judging import read_report, write_report
from shammah_daemon.lesson import load_cases


@dataclass(frozen=True)
class Candidate:
    """One candidate and what the gate made of it."""

    arm: str
    form: str
    good: bool
    passed: bool
    failed: list[str]  # names of the checks
    learned: str
    kl_mean: float
    kl_median: float
    leaks: int
    kept: float  # of what was trained, the least of any kind of layer
    preferred: str  # targets that are likelier than the rejected answers


@dataclass(frozen=True)
class Result:
    candidates: list[Candidate]
    missing: int  # not made yet
    judging_seconds: float  # median of those judged by this run

    @property
    def wrong(self) -> list[Candidate]:
        """Good ones that were rejected, bad ones that passed."""
        return [c for c in self.candidates if c.good != c.passed]


def run(lessons: Sequence[Lesson], work: Path, arms: Sequence[str], say: Say) -> Result:
    """Make and judge what is not there yet of `arms`, or of all.

    Raises:
        UsageError: no such arm, or too few lessons.
    """
    known = {arm.name: arm for arm in ARMS}
    unknown = [name for name in arms if name not in known]
    if unknown:
        raise UsageError(f"no arm is called {unknown[0]!r}", hint="known: " + "; ".join(known))
    if len(lessons) < max(arm.lessons.stop for arm in ARMS):
        raise UsageError(f"calibration needs 20 lessons, the file holds {len(lessons)}")
    spent = asyncio.run(_run([known[name] for name in arms] or ARMS, lessons, work, say))
    found, missing = [], 0
    for arm in ARMS:
        for form in arm.forms:
            report = read_report(_report_file(work, arm, form))
            if report is None:
                missing += 1
            else:
                found.append(_candidate(arm, form, report))
    return Result(found, missing, median(spent) if spent else 0.0)


def section(result: Result) -> Section:
    notes = [
        f"{sum(c.good for c in result.candidates)} candidates known to be good, "
        f"{sum(not c.good for c in result.candidates)} known to be bad; "
        f"judged wrongly: {len(result.wrong)}."
    ]
    if result.missing:
        notes.append(f"{result.missing} are not made yet: run it again with the same --work.")
    if result.judging_seconds:
        notes.append(f"Judging took {seconds(result.judging_seconds)} (median).")
    return Section(
        title="Calibration of the gate",
        columns=(
            "candidate", "form", "known to be", "gate", "failed", "learned", "preferred", "KL",
            "median", "leaks", "kept",
        ),
        rows=[
            (
                c.arm,
                c.form,
                "good" if c.good else "bad",
                "passed" if c.passed else "rejected",
                ", ".join(c.failed),
                c.learned,
                c.preferred,
                f"{c.kl_mean:.3f}",
                f"{c.kl_median:.3f}",
                str(c.leaks),
                f"{c.kept:.0%}",
            )
            for c in result.candidates
        ],
        notes=notes,
    )  # fmt: skip


async def _run(arms: Sequence[Arm], lessons: Sequence[Lesson], work: Path, say: Say) -> list[float]:
    """Seconds of each judgement that was made."""
    shop = await workshop(work)
    base, ground, stages = shop.base, shop.ground, shop.stages
    spent = []
    for arm in arms:
        folder = _arm_folder(work, arm)
        if not (folder / "before.json").exists():
            say(f"calibration: {arm.name}: training")
            async with running(Path(base.gguf)) as engine:
                taught = lessons[arm.lessons]
                rejected = await answers(
                    engine, base, [lesson.question for lesson in taught], REJECTED_TOKENS
                )
                await train(arm, taught, rejected, base, engine, stages, folder, ground.folder)
                nll = await measure_targets(engine, load_cases(folder))
            before = [asdict(Before(median(values))) for values in nll]
            (folder / "before.json").write_text(json.dumps(before))
        for form in arm.forms:
            file = _report_file(work, arm, form)
            if read_report(file) is not None:
                continue
            gguf = await make(form, base, stages, folder)
            began = time.monotonic()
            report = await _judge(gguf, base, folder, ground.reference, form)
            spent.append(time.monotonic() - began)
            say(f"calibration: {arm.name}, {form}: {report.failed or 'passed'}")
            write_report(file, report)
            remove_files(gguf)
    return spent


async def _judge(gguf: Path, base: Base, folder: Path, reference: Path, form: Form) -> Report:
    """As the daemon judges, the start of the engine included."""
    before = [Before(**item) for item in json.loads((folder / "before.json").read_bytes())]
    async with running(gguf) as engine:
        evidence = await examine(
            engine, load_cases(folder), before, load_reference(reference),
            _origin(gguf, base, folder), _ignore,
        )  # fmt: skip
    return judge(evidence, Config().gate, form)


def _origin(gguf: Path, base: Base, folder: Path) -> Origin:
    trained = json.loads((folder / "train.json").read_bytes())
    nll = at_step(trained["held_out_nll"], trained["saved_step"], trained["steps"])
    return Origin(held(gguf, base, folder), nll)


def _candidate(arm: Arm, form: Form, report: Report) -> Candidate:
    contested = [v.prefers_target for v in report.verdicts if v.prefers_target is not None]
    return Candidate(
        arm=arm.name,
        form=form,
        good=arm.is_good(form),
        passed=report.passed,
        failed=report.failed,
        learned=f"{sum(v.learned for v in report.verdicts)}/{len(report.verdicts)}",
        kl_mean=report.kl_mean,
        kl_median=report.kl_median,
        leaks=len(report.leaks),
        kept=min(report.kept.values(), default=math.nan),
        preferred=f"{sum(contested)}/{len(contested)}",
    )


def _arm_folder(work: Path, arm: Arm) -> Path:
    return work / "arms" / arm.name.replace(", ", "-").replace(" ", "-")


def _report_file(work: Path, arm: Arm, form: Form) -> Path:
    return _arm_folder(work, arm) / f"report-{form.replace(' ', '-')}.json"


async def _ignore(_fraction: float, _detail: str) -> None:
    """A benchmark shows no bar."""
