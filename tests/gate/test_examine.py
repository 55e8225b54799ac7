"""What the gate asks of a candidate, where an answer decides what is asked next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest

from shammah.engine.handle import Engine, Finished
from shammah.engine.requests import Sampling, ScoreRow
from shammah.gate.evidence import GENERAL_TOKENS, PATIENCE_TOKENS, Evidence, Origin
from shammah.gate.examine import examine
from shammah.gate.measure import Probe


@dataclass(frozen=True)
class Scored:
    """As an engine that gives every token the probability 1."""

    at: list[list[float]]


@dataclass
class Talkative:
    """An engine whose answer takes `length` tokens, where it may."""

    length: int
    limits: list[int] = field(default_factory=list)

    async def score(self, rows: Sequence[ScoreRow]) -> list[Scored]:
        return [Scored([[0.0] for _ in row.target]) for row in rows]

    async def answer(self, _prompt: Sequence[int], sampling: Sampling) -> tuple[str, Finished]:
        self.limits.append(sampling.max_tokens)
        ended = self.length <= sampling.max_tokens
        return "word " * min(self.length, sampling.max_tokens), Finished(
            reason="stop" if ended else "length", prompt_tokens=3, cached_tokens=0,
            completion_tokens=min(self.length, sampling.max_tokens),
            first_token_seconds=0.0, tokens_per_second=0.0, mean_nll=0.0,
        )  # fmt: skip


def probe(base_tokens: int) -> Probe:
    return Probe("Why?", "word", [1, 2, 3], [7] * base_tokens, [([7], [0.0])] * base_tokens)


async def examined(engine: Talkative, probe: Probe) -> Evidence:
    async def tell(_fraction: float, _detail: str) -> None:
        pass

    return await examine(cast(Engine, engine), [], [], [probe], Origin(), tell)


@pytest.mark.parametrize(
    ("length", "base_tokens", "limits", "ended"),
    [
        (20, 10, [GENERAL_TOKENS], True),
        (100, 10, [GENERAL_TOKENS, PATIENCE_TOKENS], True),
        (1000, 10, [GENERAL_TOKENS, PATIENCE_TOKENS], False),
        (100, GENERAL_TOKENS, [GENERAL_TOKENS], False),  # the base's own goes on too
    ],
)
async def test_a_general_answer_counts_as_endless_only_after_a_second_longer_try(
    length: int, base_tokens: int, limits: list[int], ended: bool
) -> None:
    engine = Talkative(length)
    [given] = (await examined(engine, probe(base_tokens))).general
    assert engine.limits == limits
    assert given.answer.ended is ended
