"""Which rows each step sees and how fast it learns: a pure function of data, recipe and step."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from shammah.training.packing import size
from shammah.training.spec import Dataset, Recipe, Row

#: The longest conversations that training makes of rows.
CONVERSATION_ROWS = 5
CONVERSATION_TOKENS = 512

#: How far the weight of the KL term may grow as the learning rate falls.
KL_GROWTH = 10.0


class Turn(NamedTuple):
    """One row in a conversation."""

    row: int  # index into the replay rows that are trained on, or else into Dataset.rows
    is_replay: bool


@dataclass(frozen=True)
class Step:
    """One optimizer step."""

    conversations: list[list[Turn]]
    learning_rate: float
    kl_weight: float


def plan(dataset: Dataset, replay: Sequence[Row], recipe: Recipe) -> list[Step]:
    """All steps of a job, in order.

    Replay goes round all its rows in an order drawn from the seed before any row comes again.
    Every second step asks its examples in conversations instead of alone.

    The weight of the KL term grows as the learning rate falls. KL is sharply curved along what is
    particular to one row: where rate times weight is too large, a step leaps over the minimum, and
    the rows that were replayed end farther from the base than those that were not
    (docs/learning.md).
    """
    order = [index for epoch in dataset.epochs for index in epoch]
    count = recipe.batch_rows
    batches = [order[start : start + count] for start in range(0, len(order), count)]
    wanted = math.ceil(len(order) * recipe.replay_ratio) if replay else 0
    replayed = _cycle(len(replay), wanted, recipe.seed)
    steps, seen = [], 0
    for number, batch in enumerate(batches):
        first = round(seen * recipe.replay_ratio)
        seen += len(batch)
        last = round(seen * recipe.replay_ratio)
        conversations = [[Turn(row, True)] for row in replayed[first:last]]
        asked = [Turn(row, False) for row in batch]
        if number % 2:
            conversations = _joined(conversations, asked, dataset.rows, replay)
        else:
            conversations += [[turn] for turn in asked]
        share = share_of_peak(number, len(batches), recipe)
        kl_weight = recipe.kl_weight * min(1 / share, KL_GROWTH)
        steps.append(Step(conversations, recipe.learning_rate * share, kl_weight))
    return steps


def longest(steps: Sequence[Step], rows: Sequence[Row], replay: Sequence[Row]) -> int:
    """Tokens of the longest sequence that the steps compute."""
    return max(
        size([_row(turn, rows, replay) for turn in turns])
        for step in steps
        for turns in step.conversations
    )


def shorten(
    steps: Sequence[Step], rows: Sequence[Row], replay: Sequence[Row], limit: int
) -> list[Step]:
    """The same steps in sequences of at most `limit` tokens.

    A conversation that is longer goes on in a new one. A row that is longer by itself is left out,
    whole: no target is ever cut.
    """
    return [
        replace(
            step,
            conversations=[
                shorter
                for turns in step.conversations
                for shorter in _broken(turns, rows, replay, limit)
            ],
        )
        for step in steps
    ]


def left_out(before: Sequence[Step], after: Sequence[Step], rows: Sequence[Row]) -> list[int]:
    """Ids of the examples that `before` teaches and `after` does not."""
    return sorted(_taught(before, rows) - _taught(after, rows))


def _taught(steps: Sequence[Step], rows: Sequence[Row]) -> set[int]:
    turns = [turn for step in steps for asked in step.conversations for turn in asked]
    ids = {rows[turn.row].example_id for turn in turns if not turn.is_replay}
    return {number for number in ids if number is not None}


def _broken(
    turns: Sequence[Turn], rows: Sequence[Row], replay: Sequence[Row], limit: int
) -> list[list[Turn]]:
    parts: list[list[Turn]] = []
    for turn in turns:
        joined = [*(parts[-1] if parts else []), turn]
        if parts and size([_row(one, rows, replay) for one in joined]) <= limit:
            parts[-1] = joined
        elif size([_row(turn, rows, replay)]) <= limit:
            parts.append([turn])
    return parts


def _row(turn: Turn, rows: Sequence[Row], replay: Sequence[Row]) -> Row:
    return (replay if turn.is_replay else rows)[turn.row]


def _joined(
    opened: Sequence[list[Turn]],
    asked: Sequence[Turn],
    rows: Sequence[Row],
    replay: Sequence[Row],
) -> list[list[Turn]]:
    """`asked` one after the other in conversations that `opened` begins, or new ones."""
    conversations = [list(turns) for turns in opened]
    for turn in asked:
        for turns in conversations:
            before = [_row(earlier, rows, replay) for earlier in turns]
            if _fits(rows[turn.row], before):
                turns.append(turn)
                break
        else:
            conversations.append([turn])
    return conversations


def _fits(row: Row, conversation: Sequence[Row]) -> bool:
    """An example is asked once in a conversation, or it could be read off there."""
    return (
        bool(row.follow)
        and row.system == conversation[0].system
        and len(conversation) < CONVERSATION_ROWS
        and row.example_id not in [earlier.example_id for earlier in conversation]
        and size([*conversation, row]) <= CONVERSATION_TOKENS
    )


def share_of_peak(step: int, steps: int, recipe: Recipe) -> float:
    """The learning rate after `step` steps of so many, as a share of its peak.

    Linear warm-up over `recipe.warmup_steps`, then one of transformers' schedules, of the progress
    p in [0, 1) since then (transformers/optimization.py, where the names and formulas are from):
    linear 1 - p; cosine (1 + cos(pi p)) / 2; cosine_with_restarts the same, begun anew
    `lr_cycles` times; polynomial (1 - p) ** `lr_power`; constant 1.
    """
    warmup = min(recipe.warmup_steps, steps // 2)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / (steps - warmup)
    match recipe.lr_scheduler_type:
        case "linear":
            return (steps - step) / (steps - warmup)
        case "cosine":
            return _half_cosine(progress)
        case "cosine_with_restarts":
            return _half_cosine(progress * recipe.lr_cycles % 1)
        case "polynomial":
            return float((1 - progress) ** recipe.lr_power)
        case "constant":
            return 1.0


def _half_cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * progress))


def _cycle(rows: int, count: int, seed: int) -> list[int]:
    randomness = random.Random(seed)
    order: list[int] = []
    while len(order) < count:
        order += randomness.sample(range(rows), rows)
    return order[:count]
