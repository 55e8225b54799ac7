"""What a lesson is made of."""

from __future__ import annotations

from shammah_daemon.lesson import (
    FEW_EXAMPLES,
    FULL_RATE_STEPS,
    MANY_EXAMPLES,
    share_of_replay,
    slowed,
)
from tests.training.toys import RECIPE


def test_few_examples_take_half_of_the_replay_and_many_all_of_it() -> None:
    assert share_of_replay(1) == share_of_replay(FEW_EXAMPLES) == 0.5
    assert 0.5 < share_of_replay(FEW_EXAMPLES + 1) < share_of_replay(MANY_EXAMPLES - 1) < 1
    assert share_of_replay(MANY_EXAMPLES) == share_of_replay(10_000) == 1


def test_a_long_lesson_is_as_much_slower_as_it_has_more_steps() -> None:
    whole = FULL_RATE_STEPS * RECIPE.batch_rows
    assert slowed(RECIPE, whole) == slowed(RECIPE, 4) == RECIPE
    twice = slowed(RECIPE, 2 * whole)
    assert twice.learning_rate == RECIPE.learning_rate / 2
    assert twice.learning_rate * twice.kl_weight == RECIPE.learning_rate * RECIPE.kl_weight
