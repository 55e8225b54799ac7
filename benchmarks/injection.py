"""`injection`: what a correction helps from the next question on, before any lesson."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from benchmarks import lessons as lessons_module
from benchmarks.daemon import Say, fresh_daemon, wait_until_prepared
from benchmarks.figures import Section, milliseconds
from benchmarks.lessons import ANSWER_TOKENS, Lesson, near_misses
from benchmarks.scores import count, holds
from shammah.bases.replay import prompts
from shammah.client import Client
from shammah.protocol import ChatCompletion
from shammah.records import Message

KINDS = ("same", "near", "paraphrase")


@dataclass(frozen=True)
class Asked:
    """One question put to the untrained model."""

    kind: str  # one of KINDS
    question: str
    answer: str
    hit: bool
    injected: bool  # its own correction was
    misplaced: bool  # another one was
    first_token_seconds: float  # on the engine's clock


@dataclass(frozen=True)
class Unrelated:
    """A question that no lesson answers."""

    kind: str  # general or near miss
    question: str
    injected: bool


@dataclass(frozen=True)
class Result:
    lessons: int
    without: list[Asked]  # learning.inject off
    injecting: list[Asked]
    unrelated: list[Unrelated]


def run(lessons: Sequence[Lesson], say: Say) -> Result:
    """Correct every lesson, train nothing, and ask again: without injection and with it."""
    say("injection: without")
    without, _ = _ask_all(lessons, [], inject=False)
    say("injection: with")
    injecting, others = _ask_all(lessons, unrelated(), inject=True)
    return Result(len(lessons), without, injecting, others)


def unrelated() -> list[tuple[str, str]]:
    """Questions that no lesson answers, each after its kind."""
    general = [("general", text) for text in prompts()]
    return general + [("near miss", text) for text in near_misses()]


def section(result: Result) -> Section:
    def line(name: str, cell: Callable[[Sequence[Asked]], str]) -> tuple[str, ...]:
        return (name, cell(result.without), cell(result.injecting))

    rows = []
    for kind in KINDS:
        rows.append(line(f"right answers, {kind}", partial(_hits, kind)))
        rows.append(line(f"correction found, {kind}", partial(_found, kind)))
    wrong = [one.question for one in result.unrelated if one.injected]
    wrong += [one.question for one in result.injecting if one.misplaced]
    return Section(
        title=f"Injection: {result.lessons} corrections, nothing trained",
        columns=("score", "without", "with injection"),
        rows=[
            *rows,
            line(
                "another lesson's correction",
                lambda asked: str(count([a.misplaced for a in asked])),
            ),
            ("wrong injections, general questions", "-", _wrong("general", result.unrelated)),
            ("wrong injections, near misses", "-", _wrong("near miss", result.unrelated)),
            line(
                "first token",
                lambda asked: milliseconds(median(a.first_token_seconds for a in asked)),
            ),
        ],
        notes=[f"Wrongly injected: {question}" for question in wrong],
    )


def _hits(kind: str, asked: Sequence[Asked]) -> str:
    return str(count([one.hit for one in asked if one.kind == kind]))


def _found(kind: str, asked: Sequence[Asked]) -> str:
    return str(count([one.injected for one in asked if one.kind == kind]))


def _wrong(kind: str, asked: Sequence[Unrelated]) -> str:
    return str(count([one.injected for one in asked if one.kind == kind]))


def _ask_all(
    lessons: Sequence[Lesson], others: Sequence[tuple[str, str]], *, inject: bool
) -> tuple[list[Asked], list[Unrelated]]:
    overrides = {
        "SHAMMAH_LEARNING__INJECT": str(inject).lower(),
        "SHAMMAH_LEARNING__THRESHOLD_EXAMPLES": str(len(lessons) + 1),  # no lesson begins
    }
    with fresh_daemon(overrides) as session:
        client = session.client
        wait_until_prepared(session)  # nothing else may compute meanwhile
        ids = [lessons_module.correct(client, lesson).example_id for lesson in lessons]
        asked = [
            _ask(client, kind, question, lesson, example_id)
            for lesson, example_id in zip(lessons, ids, strict=True)
            for kind, question in _wordings(lesson)
        ]
        found = [
            Unrelated(kind, text, bool(_answer(client, text, 1).shammah.injected))
            for kind, text in others
        ]
    return asked, found


def _wordings(lesson: Lesson) -> list[tuple[str, str]]:
    return [
        ("same", lesson.question),
        *(("near", question) for question in lesson.near),
        *(("paraphrase", question) for question in lesson.paraphrases),
    ]


def _ask(client: Client, kind: str, question: str, lesson: Lesson, example_id: int) -> Asked:
    completion = _answer(client, question, ANSWER_TOKENS)
    answer, info = completion.choices[0].message.content, completion.shammah
    return Asked(
        kind=kind,
        question=question,
        answer=answer,
        hit=holds(lesson.key, answer),
        injected=example_id in info.injected,
        misplaced=any(number != example_id for number in info.injected),
        first_token_seconds=info.first_token_seconds or 0.0,
    )


def _answer(client: Client, question: str, max_tokens: int) -> ChatCompletion:
    return client.chat(
        [Message(role="user", content=question)], temperature=0.0, max_tokens=max_tokens
    )
