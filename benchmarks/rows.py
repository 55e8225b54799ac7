"""The rows that trainers are compared on: a lesson's, short ones and long ones.

Knows no trainer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from shammah.training.spec import Dataset, Recipe, Row
from shammah_daemon import lesson as jobs

#: Where the text of short and long rows is from: English prose of the project's own.
TEXTS = Path(__file__).parent.parent / "docs"

_SEED = 0


@dataclass(frozen=True)
class RowSet:
    """Rows, the order in which steps of `recipe.batch_rows` visit them, and how they are taught."""

    name: str
    recipe: Recipe
    dataset: Dataset

    @property
    def batches(self) -> list[list[Row]]:
        """The rows of each step."""
        order = [index for epoch in self.dataset.epochs for index in epoch]
        count = self.recipe.batch_rows
        return [
            [self.dataset.rows[index] for index in order[start : start + count]]
            for start in range(0, len(order), count)
        ]


@dataclass(frozen=True)
class Size:
    """Tokens of a row, between two numbers, and how many batches are visited how often."""

    name: str
    prompt: tuple[int, int]
    target: tuple[int, int]
    batches: int
    epochs: int


SHORT = Size("short", prompt=(32, 52), target=(12, 24), batches=6, epochs=4)
LONG = Size("long", prompt=(780, 820), target=(180, 200), batches=3, epochs=1)


def of_lesson(lesson: jobs.Lesson, steps: int) -> RowSet:
    """The rows of a lesson's first steps."""
    recipe = lesson.spec.recipe
    order = [index for epoch in lesson.dataset.epochs for index in epoch]
    order = order[: steps * recipe.batch_rows]
    return RowSet("a lesson's", recipe, Dataset(lesson.dataset.rows, [order]))


def of_text(tokens: Sequence[int], size: Size, recipe: Recipe) -> RowSet:
    """Rows cut out of a text one after the other, so that no two have a beginning in common.

    Raises:
        ValueError: the text is too short.
    """
    count = size.batches * recipe.batch_rows
    rows = list(_cut(tokens, size, count))
    if len(rows) < count:
        raise ValueError(f"{len(tokens)} tokens hold {len(rows)} of {count} {size.name} rows")
    return RowSet(size.name, recipe, Dataset(rows, [list(range(count))] * size.epochs))


def _cut(tokens: Sequence[int], size: Size, count: int) -> Iterator[Row]:
    random, start = Random(_SEED), 0
    for _ in range(count):
        middle = start + random.randint(*size.prompt)
        end = middle + random.randint(*size.target)
        if end > len(tokens):
            return
        yield Row(list(tokens[start:middle]), list(tokens[middle:end]))
        start = end
