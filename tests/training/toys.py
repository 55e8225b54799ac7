"""Small rows and a small recipe for tests of training."""

from __future__ import annotations

from random import Random

from shammah.training.spec import Recipe, Row

VOCABULARY = 300
SYSTEM_PROMPT = list(range(10, 22))

RECIPE = Recipe(
    rank=4,
    alpha=8,
    learning_rate=2e-2,
    kl_weight=1.0,
    replay_ratio=0.5,
    batch_rows=4,
    warmup_steps=3,
    seed=7,
)


def make_rows(count: int, seed: int) -> list[Row]:
    """Rows of different lengths that begin with the same system prompt."""
    random = Random(seed)

    def tokens(least: int, most: int) -> list[int]:
        return [random.randrange(30, VOCABULARY) for _ in range(random.randint(least, most))]

    return [
        Row(prompt=SYSTEM_PROMPT + tokens(2, 9), target=tokens(3, 8), example_id=index)
        for index in range(count)
    ]
