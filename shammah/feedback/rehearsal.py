"""Which examples of earlier lessons a quick lesson sees again. Knows no contents and no store.

It sees a sample of them, so that its cost does not grow with the history.
"""

from __future__ import annotations

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


def sample(earlier: Sequence[Earlier], budget: int, seed: int) -> list[int]:
    """Ids of the examples that are seen again, together within `budget`, in the order of drawing.

    First those that are wrong. The rest by chance without replacement, in proportion to weight
    times idle versions (Efraimidis & Spirakis 2006, algorithm A-Res), so that a light example is
    not passed over for ever. One that does not fit makes room for a smaller one.
    """
    random = Random(seed)
    drawn = {
        example.id: random.random() ** (1 / (example.weight * (1 + example.idle_versions)))
        for example in earlier
    }
    chosen: list[int] = []
    for example in sorted(earlier, key=lambda e: (not e.wrong, -drawn[e.id])):
        if example.cost <= budget:
            chosen.append(example.id)
            budget -= example.cost
    return chosen
