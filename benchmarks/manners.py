"""`manners`: what the daemon takes while nobody asks, and what a lesson takes from an answer."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import psutil

from benchmarks import lessons as lessons_module
from benchmarks import loop, serve
from benchmarks.daemon import Say, Session, fresh_daemon, wait_until_prepared
from benchmarks.figures import Section, milliseconds, rate
from benchmarks.lessons import Lesson
from benchmarks.streams import Timing
from shammah.errors import ShammahError
from shammah.records import JobState

#: Of idling, during which nothing is asked.
IDLE_SECONDS = 300.0
#: Answers before the lesson, and again after it.
ANSWERS = 6
ANSWER_TOKENS = 96
HELP_ROUNDS = 10

TARGET_IDLE_PERCENT = 0.5  # DESIGN §11, of one core, the daemon alone
TARGET_IDLE_BYTES = 120e6
TARGET_SHARE = 0.9  # of the idle speed
TARGET_HELP_SECONDS = 0.15


@dataclass(frozen=True)
class Idle:
    """One process over `IDLE_SECONDS`."""

    cpu_percent: float  # of one core
    memory_bytes: int


@dataclass(frozen=True)
class Result:
    daemon: Idle
    engine: Idle
    alone: list[Timing]  # answers while no lesson runs
    beside: list[Timing]  # answers while a lesson trains
    help_seconds: list[float]


def run(lessons: Sequence[Lesson], say: Say) -> Result:
    """Idle, answer, and answer again while ten corrections are taught.

    Raises:
        UsageError: fewer than ten lessons.
        ShammahError: the lesson ended before anything could be asked beside it.
    """
    loop.require_enough(lessons)
    say("manners: 'shammah --help'")
    helped = [_help_seconds() for _ in range(HELP_ROUNDS)]
    with fresh_daemon(loop.overrides()) as session:
        say("manners: preparing")
        wait_until_prepared(session)
        questions = itertools.cycle(serve.QUESTIONS)
        serve.through(session.client, "Say hello.", 8)
        say(f"manners: idle for {IDLE_SECONDS:.0f} s")
        daemon, engine = _idle(session)
        say("manners: answers alone")
        alone = [_answer(session, question) for question in itertools.islice(questions, ANSWERS)]
        say("manners: answers beside a lesson")
        for lesson in lessons[: loop.THRESHOLD]:
            lessons_module.correct(session.client, lesson)
        beside = list(_while_training(session, questions))
        if not beside:
            raise ShammahError("the lesson has ended before an answer beside it")
        say("manners: answers alone, again")
        alone += [_answer(session, question) for question in itertools.islice(questions, ANSWERS)]
    return Result(daemon, engine, alone, beside, helped)


def section(result: Result) -> Section:
    alone, beside = result.alone, result.beside
    speeds = [median(one.tokens_per_second for one in answers) for answers in (alone, beside)]
    firsts = [median(one.first_token_seconds for one in answers) for answers in (alone, beside)]
    return Section(
        title="Manners",
        columns=("what", "figure", "target"),
        rows=[
            ("daemon, idle", _idle_text(result.daemon),
             f"<= {TARGET_IDLE_PERCENT} %, {TARGET_IDLE_BYTES / 1e6:.0f} MB"),
            ("engine, idle", _idle_text(result.engine), ""),
            ("tokens/s, no lesson", rate(speeds[0]), ""),
            ("tokens/s, a lesson trains", rate(speeds[1]), ""),
            ("the share of it", f"{speeds[1] / speeds[0]:.0%}", f">= {TARGET_SHARE:.0%}"),
            ("first token, no lesson", milliseconds(firsts[0]), ""),
            ("first token, a lesson trains", milliseconds(firsts[1]), ""),
            ("'shammah --help'", milliseconds(median(result.help_seconds)),
             f"<= {milliseconds(TARGET_HELP_SECONDS)}"),
        ],
        notes=[
            f"Idle over {IDLE_SECONDS:.0f} s, CPU of one core, memory resident. Medians over "
            f"{len(alone)} answers of {ANSWER_TOKENS} tokens before and after a lesson and "
            f"{len(beside)} during its training, greedy.",
        ],
    )  # fmt: skip


def _idle_text(idle: Idle) -> str:
    return f"{idle.cpu_percent:.2f} %, {idle.memory_bytes / 1e6:.0f} MB"


def _idle(session: Session) -> tuple[Idle, Idle]:
    """The daemon and its engine."""
    pids = (session.client.health().pid, session.client.status().engine.pid)
    processes = [psutil.Process(pid) for pid in pids if pid is not None]
    before = [process.cpu_times() for process in processes]
    time.sleep(IDLE_SECONDS)
    found = []
    for process, start in zip(processes, before, strict=True):
        end = process.cpu_times()
        used = end.user + end.system - start.user - start.system
        found.append(Idle(100 * used / IDLE_SECONDS, process.memory_info().rss))
    daemon, engine = found
    return daemon, engine


def _while_training(session: Session, questions: Iterator[str]) -> Iterator[Timing]:
    """Answers that began and ended while the lesson trained."""
    while (job := session.client.status().job) is not None:
        if job.state is not JobState.TRAINING or not job.progress.get("step"):
            if job.stage is not None and job.stage not in (JobState.PREPARING, JobState.TRAINING):
                return
            time.sleep(0.2)
            continue
        found = _answer(session, next(questions))
        if session.client.job(job.id).state is JobState.TRAINING:
            yield found
        time.sleep(2)  # a user reads; the lesson goes on


def _answer(session: Session, question: str) -> Timing:
    return serve.through(session.client, question, ANSWER_TOKENS)


def _help_seconds() -> float:
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-P", "-m", "shammah.cli", "--help"], capture_output=True, check=True
    )
    return time.perf_counter() - started
