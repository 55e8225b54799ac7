"""`nights`: new lessons night after night, and what the lessons of every night are worth then."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from benchmarks import lessons as lessons_module
from benchmarks.daemon import Say, Session, fresh_daemon, wait_for_job, wait_until_prepared
from benchmarks.figures import Section, seconds
from benchmarks.lessons import Lesson
from benchmarks.scores import Score, count, holds
from benchmarks.timeline import stage_seconds
from shammah.errors import ShammahError, UsageError
from shammah.records import JobState, LessonMode, Mode

NIGHTS = 5
LESSONS_A_NIGHT = 10
MODES: tuple[LessonMode, ...] = (Mode.CONSOLIDATE, Mode.QUICK)

#: What the lessons of the first night may lose until the last, in points of near wording.
ALLOWED_LOSS_POINTS = 5.0


@dataclass(frozen=True)
class Night:
    """One job and what is served after it."""

    state: str
    summary: str
    kl_gate: float
    job_seconds: float
    training_seconds: float
    near: list[Score]  # of the lessons of each night so far


@dataclass(frozen=True)
class Arm:
    """All nights in one mode; the first one consolidates in either."""

    mode: str
    nights: list[Night]

    @property
    def lost_points(self) -> float:
        """Of near wording, from the first night's lessons, until the last night."""
        return _percent(self.nights[0].near[0]) - _percent(self.nights[-1].near[0])


@dataclass(frozen=True)
class Result:
    arms: list[Arm]


def run(lessons: Sequence[Lesson], nights: int, say: Say) -> Result:
    """Teach ten new lessons a night, in each mode on a fresh home.

    Raises:
        UsageError: there are not enough lessons.
        ShammahError: a job failed. A rejected one is a result: the version before serves on.
    """
    lessons = _enough(lessons, nights)
    arms = []
    for mode in MODES:
        overrides = {
            # The night starts the lesson, not the tenth correction.
            "SHAMMAH_LEARNING__THRESHOLD_EXAMPLES": str(len(lessons) + 1),
            # What the file knows, not what it is told.
            "SHAMMAH_LEARNING__INJECT": "false",
        }
        with fresh_daemon(overrides) as session:
            wait_until_prepared(session)
            found = []
            for number in range(nights):
                say(f"nights: {mode}, night {number + 1} of {nights}")
                found.append(_night(session, lessons, number, mode))
                say(f"nights: {found[-1].summary}")
            arms.append(Arm(mode, found))
    return Result(arms)


def section(result: Result) -> Section:
    nights = max(len(arm.nights) for arm in result.arms)
    return Section(
        title=f"{nights} nights of {LESSONS_A_NIGHT} new lessons: near wording",
        columns=(
            "after", "gate", "KL", "job", "training",
            *(f"lessons of night {number}" for number in range(1, nights + 1)),
        ),
        rows=[
            (
                f"{arm.mode}, night {number}",
                night.state,
                f"{night.kl_gate:.3f}",
                seconds(night.job_seconds),
                seconds(night.training_seconds),
                *(str(score) for score in night.near),
                *[""] * (nights - len(night.near)),
            )
            for arm in result.arms
            for number, night in enumerate(arm.nights, 1)
        ],
        notes=[
            f"{arm.mode}: the first night's lessons lost {arm.lost_points:.1f} points "
            f"(allowed: {ALLOWED_LOSS_POINTS:.0f})."
            for arm in result.arms
        ],
    )  # fmt: skip


def _enough(lessons: Sequence[Lesson], nights: int) -> Sequence[Lesson]:
    """The lessons given, filled up with those of our own."""
    wanted = nights * LESSONS_A_NIGHT
    known = {lesson.question: lesson for path in lessons_module.ALL_OWN
             for lesson in lessons_module.load(path)}  # fmt: skip
    together = list(({lesson.question: lesson for lesson in lessons} | known).values())
    if len(together) < wanted:
        raise UsageError(
            f"{nights} nights take {wanted} lessons, there are {len(together)}",
            hint="give more with --lessons, or fewer --nights",
        )
    return together[:wanted]


def _night(session: Session, lessons: Sequence[Lesson], number: int, mode: LessonMode) -> Night:
    client = session.client
    first = number * LESSONS_A_NIGHT
    for lesson in lessons[first : first + LESSONS_A_NIGHT]:
        lessons_module.correct(client, lesson)
    job_id = client.train(mode).id
    state = wait_for_job(session, job_id)
    job = client.job(job_id)
    if state not in (JobState.PROMOTED, JobState.REJECTED) or job.report is None:
        raise ShammahError(job.summary or f"job {job_id} ended as {state}")
    events = list(client.job_events(job_id))
    stages = stage_seconds(datetime.fromisoformat(events[0].at), events)
    training = json.loads((session.paths.job(job_id) / "train.json").read_bytes())
    return Night(
        state=state,
        summary=job.summary,
        kl_gate=job.report["kl_mean"],
        job_seconds=sum(stages.values()),
        training_seconds=training["seconds"],
        near=[
            near_score(session, lessons[start : start + LESSONS_A_NIGHT])
            for start in range(0, first + 1, LESSONS_A_NIGHT)
        ],
    )


def near_score(session: Session, lessons: Sequence[Lesson]) -> Score:
    """Right answers in near wording. One question after the other: batches round differently."""
    return count(
        [
            holds(lesson.key, lessons_module.ask(session.client, question)[0])
            for lesson in lessons
            for question in lesson.near
        ]
    )


def _percent(score: Score) -> float:
    return 100 * score.hits / score.total
