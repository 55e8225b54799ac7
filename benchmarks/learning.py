"""`learning`: teaches lessons through the product's own path and scores the file that it serves."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks import lessons as lessons_module
from benchmarks.daemon import Say, Session, fresh_daemon, wait_for_job, wait_until_prepared
from benchmarks.figures import Section, seconds
from benchmarks.lessons import Lesson
from benchmarks.scores import Score, add, count, holds, leaked, token_mean
from benchmarks.timeline import stage_seconds
from shammah.bases.registry import Ground
from shammah.bases.replay import Replayed
from shammah.bases.replay import load as load_replayed
from shammah.config import EngineConfig
from shammah.engine.handle import Engine
from shammah.engine.requests import ScoreRow
from shammah.errors import ShammahError
from shammah.gate.measure import measure_kl, reference
from shammah.records import JobState, Verdict
from shammah.training.spec import load_replay

SEEDS = 1


@dataclass(frozen=True)
class Asked:
    """One question put to the served file."""

    kind: str  # same, near or paraphrase
    question: str
    answer: str
    hit: bool


@dataclass(frozen=True)
class LessonScore:
    """What became of one lesson."""

    key: str
    verdict: str | None  # the gate's
    asked: list[Asked]


@dataclass(frozen=True)
class Leak:
    """A taught key in the answer to an unrelated question."""

    question: str
    answer: str
    keys: list[str]


@dataclass(frozen=True)
class Scores:
    """The scores of one served file."""

    same: Score
    near: Score
    paraphrase: Score
    leak: Score  # general questions whose answer holds a key
    kl: float  # nats, mean over all target tokens of the base's whole held-out answers
    verdicts_agree: Score  # the gate's 'learned' against the hit on the question as it was taught
    lessons: list[LessonScore]
    leaks: list[Leak]


@dataclass(frozen=True)
class SeedResult:
    """One job with one seed."""

    seed: int
    state: str
    summary: str
    quantization: str
    kl_gate: float  # the gate's own figure: the same mean over the beginnings of the answers
    learned: Score  # by the gate's verdicts
    stages: dict[str, float]
    job_seconds: float
    training_seconds: float
    settings: dict[str, Any]  # of learning, training and gate; the seed is the one above
    scores: Scores | None  # None: rejected, so that nothing is served


@dataclass(frozen=True)
class Result:
    lessons: int
    seeds: list[SeedResult]


def run(lessons: Sequence[Lesson], seeds: int, say: Say) -> Result:
    """Teach all lessons at once, for each seed on a fresh home, and score what is served then.

    Raises:
        ShammahError: a job failed. A rejected one is a result, without scores.
    """
    found = []
    for seed in range(seeds):
        say(f"learning: seed {seed}, {len(lessons)} lessons")
        overrides = {
            "SHAMMAH_TRAINING__SEED": str(seed),
            # One lesson at the end, not one at every tenth correction.
            "SHAMMAH_LEARNING__THRESHOLD_EXAMPLES": str(len(lessons) + 1),
            # What the file knows, not what it is told.
            "SHAMMAH_LEARNING__INJECT": "false",
        }
        with fresh_daemon(overrides) as session:
            found.append(_seed(session, lessons, seed, say))
    return Result(len(lessons), found)


def section(result: Result) -> Section:
    def line(name: str, cell: Callable[[SeedResult], str]) -> tuple[str, ...]:
        return (name, *(cell(seed) for seed in result.seeds))

    def served(name: str, cell: Callable[[Scores], str]) -> tuple[str, ...]:
        return line(name, lambda seed: cell(seed.scores) if seed.scores else "-")

    notes = [f"Seed {s.seed}: {s.summary}" for s in result.seeds]
    scored = [s.scores for s in result.seeds if s.scores is not None]
    if len(scored) > 1:
        notes.append(
            f"Together: same {add([s.same for s in scored])}, "
            f"near {add([s.near for s in scored])}, paraphrase "
            f"{add([s.paraphrase for s in scored])}, "
            f"KL {fmean(s.kl for s in scored):.3f} on average."
        )
    return Section(
        title=f"Learning: {result.lessons} lessons",
        columns=("score", *(f"seed {s.seed}" for s in result.seeds)),
        rows=[
            line("gate", lambda s: s.state),
            served("same wording", lambda s: str(s.same)),
            served("near wording", lambda s: str(s.near)),
            served("paraphrase", lambda s: str(s.paraphrase)),
            served("leaks", lambda s: str(s.leak)),
            served("KL to the base, whole answers", lambda s: f"{s.kl:.3f}"),
            line("KL as the gate measures it", lambda s: f"{s.kl_gate:.3f}"),
            line("learned, says the gate", lambda s: str(s.learned)),
            served("verdicts that agree with 'same'", lambda s: str(s.verdicts_agree)),
            line("quantization", lambda s: s.quantization),
            line("training steps", lambda s: seconds(s.training_seconds)),
            line("the whole job", lambda s: seconds(s.job_seconds)),
            *(
                (f"- {stage}", *(seconds(s.stages.get(stage, 0.0)) for s in result.seeds))
                for stage in dict.fromkeys(stage for s in result.seeds for stage in s.stages)
            ),
        ],
        notes=notes,
    )


def lesson_lines(result: Result) -> list[str]:
    """Every question with its answer: `+` where it holds the key, `-` where it does not."""
    lines = []
    for seed in result.seeds:
        for lesson in seed.scores.lessons if seed.scores else []:
            lines.append(f"seed {seed.seed}, {lesson.key!r}: the gate says {lesson.verdict}")
            lines += [
                f"  {'+' if a.hit else '-'} {a.kind}: {a.question} | {' '.join(a.answer.split())}"
                for a in lesson.asked
            ]
        for leak in seed.scores.leaks if seed.scores else []:
            answer = " ".join(leak.answer.split())
            lines.append(f"  leak of {', '.join(leak.keys)}: {leak.question} | {answer}")
    return lines


def _seed(session: Session, lessons: Sequence[Lesson], seed: int, say: Say) -> SeedResult:
    client = session.client
    wait_until_prepared(session)
    receipts = [lessons_module.correct(client, lesson) for lesson in lessons]
    job_id = client.train().id
    state = wait_for_job(session, job_id)
    job = client.job(job_id)
    if state not in (JobState.PROMOTED, JobState.REJECTED) or job.report is None:
        raise ShammahError(job.summary or f"job {job_id} ended as {state}")
    say(f"learning: seed {seed}: {job.summary}")
    verdicts = {v["example_id"]: v["verdict"] for v in job.report["verdicts"]}
    found = [verdicts.get(receipt.example_id) for receipt in receipts]
    events = list(client.job_events(job_id))
    stages = stage_seconds(datetime.fromisoformat(events[0].at), events)
    training = json.loads((session.paths.job(job_id) / "train.json").read_bytes())
    return SeedResult(
        seed=seed,
        state=state,
        summary=job.summary,
        quantization=job.report["quantization"],
        kl_gate=job.report["kl_mean"],
        learned=count([verdict == Verdict.LEARNED for verdict in found]),
        stages=stages,
        job_seconds=sum(stages.values()),
        training_seconds=training["seconds"],
        settings=session.config.model_dump(include={"learning", "training", "gate"}),
        scores=_score_served(session, lessons, found) if state is JobState.PROMOTED else None,
    )


def _score_served(
    session: Session, lessons: Sequence[Lesson], verdicts: Sequence[str | None]
) -> Scores:
    """Ask the served file everything, one question after the other: batches round differently."""
    scored = [
        LessonScore(lesson.key, verdict, _ask_all(session, lesson))
        for lesson, verdict in zip(lessons, verdicts, strict=True)
    ]
    asked = [a for lesson in scored for a in lesson.asked]
    general = [
        item for item in load_replayed(_ground(session).replay) if item.held_out
    ]  # fmt: skip
    leaks = _leaks(session, [lesson.key for lesson in lessons], general)
    return Scores(
        same=count([a.hit for a in asked if a.kind == "same"]),
        near=count([a.hit for a in asked if a.kind == "near"]),
        paraphrase=count([a.hit for a in asked if a.kind == "paraphrase"]),
        leak=Score(len(leaks), len(general)),
        kl=asyncio.run(_kl_to_base(session)),
        verdicts_agree=count(
            [(lesson.verdict == Verdict.LEARNED) == lesson.asked[0].hit for lesson in scored]
        ),
        lessons=scored,
        leaks=leaks,
    )


def _ask_all(session: Session, lesson: Lesson) -> list[Asked]:
    """The question as it was taught first."""
    questions = [
        ("same", lesson.question),
        *(("near", question) for question in lesson.near),
        *(("paraphrase", question) for question in lesson.paraphrases),
    ]
    asked = []
    for kind, question in questions:
        answer, _version = lessons_module.ask(session.client, question)
        asked.append(Asked(kind, question, answer, holds(lesson.key, answer)))
    return asked


def _leaks(session: Session, keys: Sequence[str], general: Sequence[Replayed]) -> list[Leak]:
    found = []
    for item in general:
        answer, _version = lessons_module.ask(session.client, item.prompt)
        if held := leaked(keys, answer, item.answer):
            found.append(Leak(item.prompt, answer, held))
    return found


async def _kl_to_base(session: Session) -> float:
    """Mean KL(base || served) over all tokens of the base's held-out answers, in nats.

    Both files in engines of their own, apart from the daemon; the measure is the gate's.
    """
    rows = [row for row in load_replay(_ground(session).replay_tokens) if row.held_out]
    asked = [ScoreRow(row.prompt, row.target) for row in rows]
    unnamed = [""] * len(rows)
    async with _engine(Path(session.base.gguf), session.config.engine) as base:
        probes = await reference(base, unnamed, unnamed, asked)
    async with _engine(_served(session), session.config.engine) as served:
        means = await measure_kl(served, probes)
    return token_mean(means, [len(row.target) for row in rows])


@contextlib.asynccontextmanager
async def _engine(gguf: Path, config: EngineConfig) -> AsyncIterator[Engine]:
    engine = await Engine.start(gguf, config)
    try:
        yield engine
    finally:
        await engine.close()


def _served(session: Session) -> Path:
    """The GGUF of the active version."""
    active = next(version for version in session.client.versions() if version.active)
    return session.paths.version(active.number) / f"model-{active.quantization}.gguf"


def _ground(session: Session) -> Ground:
    return Ground(session.paths.base(session.base.name))
