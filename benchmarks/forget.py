"""`forget`: does a lesson without a forgotten example unlearn it, and is no byte of it left?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import lessons as lessons_module
from benchmarks.daemon import Say, fresh_daemon, require_promoted, wait_until_prepared
from benchmarks.figures import Section
from benchmarks.lessons import Lesson
from benchmarks.nights import near_score
from benchmarks.scores import Score, count
from shammah.errors import UsageError
from shammah.gate.forgotten import TOLERANCE_NATS, TOLERANCE_SHARE, Proof

LESSONS = 10
FORGOTTEN = (2, 7)  # of them, counted from 0


@dataclass(frozen=True)
class Unlearned:
    """One forgotten example."""

    question: str
    proof: Proof  # the gate's
    files: list[str]  # in the home that still hold its words


@dataclass(frozen=True)
class Result:
    unlearned: list[Unlearned]
    near_before: Score  # right answers in near wording, of the lessons that stay
    near_after: Score


def run(lessons: Sequence[Lesson], say: Say) -> Result:
    """Teach ten lessons, forget two, teach the rest again.

    Raises:
        UsageError: too few lessons.
        ShammahError: a job failed or was rejected.
    """
    if len(lessons) < LESSONS:
        raise UsageError(f"forget needs {LESSONS} lessons, the file holds {len(lessons)}")
    lessons = lessons[:LESSONS]
    gone = [lessons[number] for number in FORGOTTEN]
    stay = [lesson for lesson in lessons if lesson not in gone]
    overrides = {
        "SHAMMAH_LEARNING__THRESHOLD_EXAMPLES": str(LESSONS + 1),
        "SHAMMAH_LEARNING__INJECT": "false",
    }
    with fresh_daemon(overrides) as session:
        client = session.client
        wait_until_prepared(session)
        ids = {lesson.question: lessons_module.correct(client, lesson).example_id
               for lesson in lessons}  # fmt: skip
        say(f"forget: {LESSONS} lessons")
        require_promoted(session, client.train().id)
        near_before = near_score(session, stay)
        for lesson in gone:
            client.forget(ids[lesson.question])
        files = [files_with(session.paths.data_dir, lesson) for lesson in gone]
        say(f"forget: without {len(gone)} of them")
        job_id = client.train().id
        require_promoted(session, job_id)
        report = client.job(job_id).report or {}
        proofs = {item["example_id"]: Proof(**item) for item in report["forgotten"]}
        return Result(
            unlearned=[
                Unlearned(lesson.question, proofs[ids[lesson.question]], found)
                for lesson, found in zip(gone, files, strict=True)
            ],
            near_before=near_before,
            near_after=near_score(session, stay),
        )


def section(result: Result) -> Section:
    return Section(
        title=f"{len(FORGOTTEN)} of {LESSONS} lessons forgotten",
        columns=("question", "base", "taught", "forgotten", "files that hold its words"),
        rows=[
            (
                one.question,
                f"{one.proof.nll_base:.2f}",
                f"{one.proof.nll_before:.2f}",
                f"{one.proof.nll_after:.2f}",
                ", ".join(one.files) or "none",
            )
            for one in result.unlearned
        ],
        notes=[
            "NLL of the answer in nats a token, by the gate. "
            f"At most {TOLERANCE_NATS} nats or {TOLERANCE_SHARE:.0%} of what was taught is left: "
            f"{count([one.proof.is_forgotten for one in result.unlearned])}.",
            "The lessons that stay, right in near wording: "
            f"{result.near_before} before, {result.near_after} after.",
        ],
    )


def files_with(home: Path, lesson: Lesson) -> list[str]:
    """Those whose bytes hold its question or its answer."""
    marks = [text.encode() for text in (lesson.question, lesson.answer)]
    return [
        str(file.relative_to(home))
        for file in home.rglob("*")
        if file.is_file() and any(mark in file.read_bytes() for mark in marks)
    ]
