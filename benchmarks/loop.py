"""`loop`: seconds from the tenth correction to the new version serving, by stage."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from benchmarks import lessons as lessons_module
from benchmarks.daemon import Say, Session, fresh_daemon, require_promoted, wait_until_prepared
from benchmarks.figures import Section, milliseconds, seconds
from benchmarks.lessons import Lesson
from benchmarks.timeline import stage_seconds
from shammah.errors import ShammahError, UsageError

#: Corrections that start a lesson by themselves.
THRESHOLD = 10
ROUNDS = 3
TARGET_SECONDS = 20.0  # DESIGN §11

#: A person takes at least so long to read a bad answer and to write the right one; the daemon uses
#: that time to get ready.
WRITING_SECONDS = 5.0


@dataclass(frozen=True)
class Round:
    """One lesson on a fresh home."""

    prepared_seconds: float  # from the start of the daemon until its base could be taught
    stages: dict[str, float]
    total_seconds: float  # from sending the tenth correction to the new version serving
    first_answer_seconds: float  # of the new version's first answer, whole
    summary: str


@dataclass(frozen=True)
class Result:
    rounds: list[Round]


def run(lessons: Sequence[Lesson], rounds: int, say: Say) -> Result:
    """Teach the first ten lessons, once per round, each on a fresh home.

    Raises:
        UsageError: fewer than ten lessons.
        ShammahError: the gate rejected the lesson, so that nothing was served.
    """
    require_enough(lessons)
    found = []
    for number in range(1, rounds + 1):
        say(f"loop: round {number} of {rounds}")
        with fresh_daemon(overrides()) as session:
            found.append(_round(session, lessons[:THRESHOLD]))
    return Result(found)


def teach(session: Session, lessons: Sequence[Lesson]) -> None:
    """Bring version 1 to serve, for benchmarks that need one.

    Raises:
        ShammahError: the gate rejected the lesson.
    """
    require_enough(lessons)
    wait_until_prepared(session)
    receipts = [lessons_module.correct(session.client, lesson) for lesson in lessons[:THRESHOLD]]
    require_promoted(session, _job_id(receipts[-1].job_id))


def overrides() -> dict[str, str]:
    """The settings under which ten corrections start a lesson."""
    return {"SHAMMAH_LEARNING__THRESHOLD_EXAMPLES": str(THRESHOLD)}


def require_enough(lessons: Sequence[Lesson]) -> None:
    if len(lessons) < THRESHOLD:
        raise UsageError(f"{THRESHOLD} lessons are needed, the file holds {len(lessons)}")


def section(result: Result) -> Section:
    totals = sorted(r.total_seconds for r in result.rounds)
    names = list(dict.fromkeys(name for r in result.rounds for name in r.stages))
    stages = [
        (name, seconds(median(r.stages.get(name, 0.0) for r in result.rounds)), "")
        for name in names
    ]
    return Section(
        title="Ten corrections to an improved model serving",
        columns=("stage", "median", "target"),
        rows=[
            *stages,
            ("tenth correction to serving", seconds(median(totals)), f"{TARGET_SECONDS:.0f} s"),
            ("first answer of the new version",
             milliseconds(median(r.first_answer_seconds for r in result.rounds)), ""),
            ("first start: base prepared after",
             seconds(median(r.prepared_seconds for r in result.rounds)), ""),
        ],
        notes=[
            f"{len(totals)} rounds, each on a fresh home whose base was prepared before the first "
            f"correction, the tenth of which takes {seconds(WRITING_SECONDS)} to write; "
            f"totals from {seconds(totals[0])} to {seconds(totals[-1])}. "
            "Stage lines are medians of their own and need not add up to the total. "
            f"The gate: {result.rounds[0].summary}",
        ],
    )  # fmt: skip


def _round(session: Session, lessons: Sequence[Lesson]) -> Round:
    prepared = wait_until_prepared(session)
    client = session.client
    for lesson in lessons[:-1]:
        lessons_module.correct(client, lesson)
    lessons_module.mark(client, lessons[-1])
    time.sleep(WRITING_SECONDS)
    began = datetime.now(UTC)
    job_id = _job_id(client.fix(lessons[-1].answer).job_id)
    require_promoted(session, job_id)
    asked = time.perf_counter()
    _answer, version = lessons_module.ask(client, lessons[0].question)
    answered = time.perf_counter()
    job = client.job(job_id)
    if version != job.version:
        raise ShammahError(f"version {version} answered after version {job.version} was promoted")
    stages = stage_seconds(began, list(client.job_events(job_id)))
    return Round(
        prepared_seconds=prepared,
        stages=stages,
        total_seconds=sum(stages.values()),
        first_answer_seconds=answered - asked,
        summary=job.summary,
    )


def _job_id(job_id: int | None) -> int:
    if job_id is None:
        raise ShammahError(f"the correction number {THRESHOLD} started no lesson")
    return job_id
