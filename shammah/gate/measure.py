"""Asks an engine what the judge wants to know; decides nothing.

Works on the exact file that would be served, through the same template and engine as the chat.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from shammah.engine.handle import Engine
from shammah.engine.requests import Sampling, ScoreRow
from shammah.gate.terms import Terms, terms

#: Candidates per position in the base's reference; the rest of the mass is one lump.
REFERENCE_TOP = 32


@dataclass(frozen=True)
class Case:
    """One example as the judge asks it: prompts are token ids."""

    example_id: int
    level: str
    new: bool  # the active version was not taught it
    question: str
    target_text: str
    asked: list[int]  # the question as the user put it
    held_out: list[list[int]]  # phrasings that training never saw
    in_conversation: list[int] | None  # as asked, after other exchanges; None: it has its own
    target: list[int]
    rejected: list[int] | None
    #: Training measures its target after the first held-out phrasing, too.
    watched: bool = False

    @property
    def prompts(self) -> list[list[int]]:
        """All that is asked: as the user put it, each held-out phrasing, in a conversation."""
        together = [self.in_conversation] if self.in_conversation else []
        return [self.asked, *self.held_out, *together]

    @cached_property
    def terms(self) -> Terms:
        """What an answer must contain."""
        return terms(self.target_text, self.question)


@dataclass(frozen=True)
class Answered:
    """One greedy answer."""

    text: str
    ended: bool  # by itself, not by the limit
    tokens: int
    mean_nll: float | None = None  # of its tokens, in nats


@dataclass(frozen=True)
class CaseMeasure:
    """What a model makes of a case. NLLs are means per target token, in nats."""

    example_id: int
    nll: list[float]  # per held-out phrasing
    rejected_nll: float | None  # after the first held-out phrasing; new examples only
    answers: list[Answered]  # to `Case.prompts`

    @property
    def median_nll(self) -> float:
        return median(self.nll)


@dataclass(frozen=True)
class Probe:
    """A general question that training never saw, and the base's own answer to it."""

    question: str
    answer_text: str
    prompt: list[int]
    answer: list[int]  # its first tokens
    top: list[tuple[list[int], list[float]]]  # the base's likeliest tokens at each position


async def measure_targets(engine: Engine, cases: Sequence[Case]) -> list[list[float]]:
    """Per case the target's NLL for each held-out phrasing."""
    rows = [ScoreRow(prompt, case.target) for case in cases for prompt in case.held_out]
    scored = iter(await engine.score(rows))
    return [[next(scored).mean_nll for _ in case.held_out] for case in cases]


async def measure_rejected(engine: Engine, cases: Sequence[Case]) -> list[float | None]:
    """Per new case with a rejected answer the NLL of how that begins, else None.

    After the first held-out phrasing, where the target was measured too.
    """
    rows = [
        ScoreRow(case.held_out[0], case.rejected[: len(case.target)])
        for case in cases
        if case.new and case.rejected
    ]
    scored = iter(await engine.score(rows))
    return [next(scored).mean_nll if case.new and case.rejected else None for case in cases]


async def measure_cases(
    engine: Engine,
    cases: Sequence[Case],
    answers: Sequence[Sequence[Answered]],
    rejected_nlls: Sequence[float | None],
) -> list[CaseMeasure]:
    """What there is to know of every case, from its answers and what they leave to be scored.

    A target that came back word for word was scored by being generated.
    """
    open_rows = [
        ScoreRow(prompt, case.target)
        for case, given in zip(cases, answers, strict=True)
        for prompt, answered in zip(case.held_out, _to_held_out(case, given), strict=True)
        if _generated_nll(case, answered) is None
    ]
    scored = iter(await engine.score(open_rows))
    measures = []
    for case, given, rejected in zip(cases, answers, rejected_nlls, strict=True):
        generated = [_generated_nll(case, answered) for answered in _to_held_out(case, given)]
        nll = [next(scored).mean_nll if value is None else value for value in generated]
        measures.append(CaseMeasure(case.example_id, nll, rejected, list(given)))
    return measures


async def answer_cases(engine: Engine, cases: Sequence[Case]) -> list[list[Answered]]:
    """Per case the greedy answers to `Case.prompts`."""
    asked = [(case, prompt) for case in cases for prompt in case.prompts]
    found = iter(
        await asyncio.gather(
            *(answer(engine, prompt, answer_limit(case.target)) for case, prompt in asked)
        )
    )
    return [[next(found) for _ in case.prompts] for case in cases]


def _to_held_out(case: Case, given: Sequence[Answered]) -> Sequence[Answered]:
    return given[1 : 1 + len(case.held_out)]


def _generated_nll(case: Case, answered: Answered) -> float | None:
    is_target = answered.ended and answered.text.strip() == case.target_text.strip()
    return answered.mean_nll if is_target else None


def answer_limit(target: Sequence[int]) -> int:
    """Tokens that an answer may take which should hold `target`: the lesson and some courtesy."""
    return len(target) * 3 // 2 + 24


async def answer(engine: Engine, prompt: Sequence[int], max_tokens: int) -> Answered:
    """The greedy answer to `prompt`."""
    text, finished = await engine.answer(prompt, Sampling(max_tokens=max_tokens, score=True))
    return Answered(text, finished.reason == "stop", finished.completion_tokens, finished.mean_nll)


async def reference(
    engine: Engine,
    questions: Sequence[str],
    answer_texts: Sequence[str],
    rows: Sequence[ScoreRow],
) -> list[Probe]:
    """The base's own distributions over its own answers: what KL is measured against."""
    scored = await engine.score(rows, top=REFERENCE_TOP)
    return [
        Probe(question, text, row.prompt, row.target, score.top)
        for question, text, row, score in zip(questions, answer_texts, rows, scored, strict=True)
    ]


async def measure_kl(engine: Engine, probes: Sequence[Probe]) -> list[float]:
    """Per probe: mean over its answer's tokens of KL(base ‖ engine's model), in nats.

    Computed over the base's `REFERENCE_TOP` likeliest tokens and one lump for all others, which is
    a lower bound of the full KL (data-processing inequality; Cover & Thomas, Elements of
    Information Theory, 2nd ed., §2.8).
    """
    rows = [ScoreRow(p.prompt, p.answer, at=[ids for ids, _ in p.top]) for p in probes]
    scored = await engine.score(rows)
    return [
        sum(
            kl(base, ours)
            for (_ids, base), ours in zip(probe.top, score.at, strict=True)
        )
        / len(probe.answer)
        for probe, score in zip(probes, scored, strict=True)
    ]  # fmt: skip


def furthest(probes: Sequence[Probe], kls: Sequence[float], count: int) -> list[Probe]:
    """The `count` probes with the largest KL, the largest first."""
    order = sorted(range(len(probes)), key=lambda i: -kls[i])
    return [probes[i] for i in order[:count]]


def kl(base: Sequence[float], ours: Sequence[float]) -> float:
    """KL(base ‖ ours) in nats over some tokens' log-probabilities and the lump of the rest."""
    total = sum(math.exp(p) * (p - q) for p, q in zip(base, ours, strict=True))
    rest_base = max(1.0 - math.fsum(map(math.exp, base)), 1e-9)
    rest_ours = max(1.0 - math.fsum(map(math.exp, ours)), 1e-9)
    return max(total + rest_base * math.log(rest_base / rest_ours), 0.0)
