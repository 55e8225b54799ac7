"""Puts a candidate through all that the judge wants to know, in the order that is fastest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from shammah.engine.handle import Engine
from shammah.gate.evidence import (
    GENERAL_TOKENS,
    PATIENCE_TOKENS,
    Before,
    Evidence,
    General,
    Origin,
    must_end,
)
from shammah.gate.measure import (
    Answered,
    Case,
    Probe,
    answer,
    answer_cases,
    furthest,
    measure_cases,
    measure_kl,
    measure_rejected,
)

#: Questions that a candidate should answer at the same time: up to about 48, a token costs less
#: the more answers share a decode step (docs/benchmarks.md).
SLOTS = 40

#: General questions that are answered: those on which the candidate moved furthest.
GENERAL_ANSWERS = 8

#: Told how far it is, from 0 to 1, and with what it goes on.
Tell = Callable[[float, str], Awaitable[None]]


async def examine(
    engine: Engine,
    cases: Sequence[Case],
    before: Sequence[Before],
    probes: Sequence[Probe],
    origin: Origin,
    tell: Tell,
) -> Evidence:
    """All measurements of the candidate in `engine`.

    Scores come before answers: what answers leave in the cache would slow them. And KL tells which
    general questions are worth an answer.
    """
    await tell(0.0, "general questions")
    kl = await measure_kl(engine, probes)
    rejected = await measure_rejected(engine, cases)
    await tell(0.4, "lessons")
    general, answers = await asyncio.gather(
        _general(engine, furthest(probes, kl, GENERAL_ANSWERS)), answer_cases(engine, cases)
    )
    await tell(0.9, "lessons")
    after = await measure_cases(engine, cases, answers, rejected)
    return Evidence(cases, before, after, probes, kl, general, origin)


async def _general(engine: Engine, probes: Sequence[Probe]) -> list[General]:
    answers = await asyncio.gather(*(_answer_general(engine, probe) for probe in probes))
    return [General(probe, given) for probe, given in zip(probes, answers, strict=True)]


async def _answer_general(engine: Engine, probe: Probe) -> Answered:
    given = await answer(engine, probe.prompt, GENERAL_TOKENS)
    if given.ended or not must_end(probe):
        return given
    return await answer(engine, probe.prompt, PATIENCE_TOKENS)
