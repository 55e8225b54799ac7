"""From lines to what is trained, and what is to be said of them before it. Writes nothing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from random import Random
from typing import Any

from shammah.bases.template import ChatTemplate
from shammah.config import Config
from shammah.engine.handle import Engine
from shammah.engine.requests import ScoreRow
from shammah.records import Example, Job, JobState, Mode
from shammah.training.spec import Row
from shammah_daemon.alone.queue import Lines
from shammah_daemon.choice import Situation
from shammah_daemon.lesson import Lesson, build
from shammah_daemon.material import fitted, material

#: Rows that the engine is asked to score at once.
SCORED_ROWS = 64


@dataclass(frozen=True)
class Share:
    """How often lines of one weight are seen."""

    weight: int
    lines: int
    rows_per_epoch: int  # of all of them together


@dataclass(frozen=True)
class Data:
    """The data report: what the lines are. Names lines by their numbers, repeats no words."""

    lines: int
    trained: int
    held_out: list[int]  # of the validation split
    refused: dict[int, str]
    duplicates: list[int]
    too_long: list[int]
    contradictions: list[tuple[int, int]]
    weights: list[Share]
    longest_tokens: int  # of a question with its target
    epochs: int
    rows_per_epoch: int
    replay_rows: int  # of the base's own answers, over all epochs
    steps: int
    tokens: int  # over all epochs, without replay
    held_out_nll_before: float | None = None  # nats a token, as the base has it

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def divided(
    examples: Sequence[Example], share: float, seed: int
) -> tuple[list[Example], list[Example]]:
    """What is trained, and what is held out: at least one of each where a share is asked for."""
    count = round(len(examples) * share)
    if share and len(examples) > 1:
        count = min(max(count, 1), len(examples) - 1)
    chosen = set(Random(seed).sample(range(len(examples)), count))
    trained = [example for i, example in enumerate(examples) if i not in chosen]
    return trained, [example for i, example in enumerate(examples) if i in chosen]


async def make(
    lines: Lines,
    base: str,
    config: Config,
    split: float,
    engine: Engine,
    template: ChatTemplate,
) -> tuple[Lesson, Data]:
    """The lesson, made as the daemon makes one, and the report on its data.

    Raises:
        JobError: no line fits into `max_length`, or the base has no such layers.
    """
    trained, apart = divided(lines.examples, split, config.training.seed)
    situation = Situation(trained, new=frozenset(example.id for example in trained))
    lesson = await build(_job(base), situation, config, engine, template)
    rows = [await _held_out(example, config, engine, template) for example in apart]
    kept = [row for row in rows if row is not None]
    missing = [e.id for e, row in zip(apart, rows, strict=True) if row is None]
    dataset = replace(lesson.dataset, rows=[*lesson.dataset.rows, *kept])
    lesson = replace(lesson, dataset=dataset)
    before = await _nll(engine, kept)
    return lesson, _report(lines, lesson, kept, missing, before)


async def _held_out(
    example: Example, config: Config, engine: Engine, template: ChatTemplate
) -> Row | None:
    fits = await fitted(example, config.training.max_length, engine, template)
    if fits is None:
        return None
    found = await material(fits, 1, engine, template)
    return Row(found.asked[0], found.target, example.id, held_out=True)


async def _nll(engine: Engine, rows: Sequence[Row]) -> float | None:
    """Of the targets, in nats a token; None where there is nothing that the engine has room for."""
    asked = [
        ScoreRow(row.prompt, row.target) for row in rows if _length(row) < engine.context_tokens
    ]
    parts = [asked[start : start + SCORED_ROWS] for start in range(0, len(asked), SCORED_ROWS)]
    found = [nats for part in parts for one in await engine.score(part) for nats in one.nll]
    return sum(found) / len(found) if found else None


def _report(
    lines: Lines, lesson: Lesson, apart: Sequence[Row], missing: Sequence[int], nll: float | None
) -> Data:
    rows, epochs, recipe = lesson.dataset.rows, lesson.dataset.epochs, lesson.spec.recipe
    too_long = {*lesson.spec.too_long, *missing}
    trained = {row.example_id for row in rows if not row.held_out}
    visits = sum(map(len, epochs))
    return Data(
        lines=lines.count,
        trained=len(trained),
        held_out=[row.example_id for row in apart if row.example_id is not None],
        refused=dict(lines.refused),
        duplicates=sorted(lines.duplicates),
        too_long=sorted(too_long),
        contradictions=list(lines.contradictions),
        weights=_shares({e.id: e.weight for e in lines.examples if e.id in trained}, rows, epochs),
        longest_tokens=max(_length(row) for row in rows),
        epochs=len(epochs),
        rows_per_epoch=len(epochs[0]),
        replay_rows=math.ceil(visits * recipe.replay_ratio),
        steps=math.ceil(visits / recipe.batch_rows),
        tokens=sum(_length(rows[index]) for epoch in epochs for index in epoch),
        held_out_nll_before=nll,
    )


def _shares(
    weights: Mapping[int, int], rows: Sequence[Row], epochs: Sequence[Sequence[int]]
) -> list[Share]:
    lines = Counter(weights.values())
    seen: Counter[int] = Counter()
    for index in epochs[0]:
        seen[weights[rows[index].example_id or 0]] += 1
    return [Share(weight, lines[weight], seen[weight]) for weight in sorted(lines, reverse=True)]


def _length(row: Row) -> int:
    return len(row.prompt) + len(row.target)


def _job(base: str) -> Job:
    """A lesson belongs to a job; this one has no store and no number but this."""
    return Job(
        id=1, base=base, mode=Mode.CONSOLIDATE, state=JobState.PREPARING, attempt=1, version=None,
        error=None, hint=None, created_at="", started_at=None, finished_at=None,
    )  # fmt: skip
