"""Which examples of earlier lessons a quick lesson sees again, and how often. Knows no contents
and no store.

It sees a sample of them, so that its cost does not grow with the history.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Earlier:
    """An example that the active version was taught."""

    id: int
    weight: int
    cost: int  # what it takes of the budget: its tokens, or 1 where examples are counted
    wrong: bool  # the newest gate that asked it did not find it learned
    idle_versions: int  # since a lesson last trained on it


def sample(earlier: Sequence[Earlier], budget: int, seed: int, most: int = 1) -> Counter[int]:
    """How often each of the examples is seen again, together within `budget`, in the order of
    drawing; those that are not are left out.

    First those that are wrong. The rest by chance without replacement, in proportion to weight
    times idle versions (Efraimidis & Spirakis 2006, algorithm A-Res), so that a light example is
    not passed over for ever. One that does not fit makes room for a smaller one. What is left of
    the budget when all were drawn is spent in the same order again, up to `most` times.
    """
    random = Random(seed)
    drawn = {
        example.id: random.random() ** (1 / (example.weight * (1 + example.idle_versions)))
        for example in earlier
    }
    order = sorted(earlier, key=lambda e: (not e.wrong, -drawn[e.id]))
    seen: Counter[int] = Counter()
    for _ in range(most):
        for example in order:
            if example.cost <= budget:
                seen[example.id] += 1
                budget -= example.cost
    return seen


def extent(slots: int, places: int, reviews: int, epochs: int, rows: int) -> tuple[int, int]:
    """How many epochs a quick lesson takes, and how many reviews of earlier examples.

    A short lesson is filled up to `rows`, with reviews first: to see one new example again and
    again would move the model, and nothing would hold it.

    Args:
        slots: visits of what is learned in one epoch.
        places: for reviews in one epoch, at most.
        reviews: as many as there shall be, where there are places for them.
        epochs: as many at least.
        rows: visits of the whole lesson, at least.
    """
    while True:
        found = min(epochs * places, max(reviews, rows - epochs * slots))
        if epochs * slots + found >= rows or not slots + places:
            return epochs, found
        epochs += 1
