"""Which rows each step sees and how fast it learns: a pure function of data, recipe and step."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from shammah.training.spec import Dataset, Recipe


@dataclass(frozen=True)
class Step:
    """One optimizer step."""

    examples: list[int]  # indices into Dataset.rows
    replay: list[int]  # indices into the replay rows that are trained on
    learning_rate: float


def plan(dataset: Dataset, replay_rows: int, recipe: Recipe) -> list[Step]:
    """All steps of a job, in order.

    Replay goes round all its rows in an order drawn from the seed before any row comes again.
    """
    order = [index for epoch in dataset.epochs for index in epoch]
    size = recipe.batch_rows
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    wanted = math.ceil(len(order) * recipe.replay_ratio) if replay_rows else 0
    replay = _cycle(replay_rows, wanted, recipe.seed)
    steps, seen = [], 0
    for number, batch in enumerate(batches):
        first = round(seen * recipe.replay_ratio)
        seen += len(batch)
        last = round(seen * recipe.replay_ratio)
        rate = recipe.learning_rate * _share_of_peak(number, len(batches), recipe.warmup_steps)
        steps.append(Step(examples=batch, replay=replay[first:last], learning_rate=rate))
    return steps


def _share_of_peak(step: int, steps: int, warmup_steps: int) -> float:
    """Linear warm-up over `warmup_steps`, then linear decay that reaches 0 after the last step."""
    warmup = min(warmup_steps, steps // 2)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return (steps - step) / (steps - warmup)


def _cycle(rows: int, count: int, seed: int) -> list[int]:
    randomness = random.Random(seed)
    order: list[int] = []
    while len(order) < count:
        order += randomness.sample(range(rows), rows)
    return order[:count]
