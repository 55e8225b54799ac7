"""What a lesson is made of."""

from __future__ import annotations

from shammah_daemon.lesson import (
    FEW_EXAMPLES,
    FULL_RATE_STEPS,
    MANY_EXAMPLES,
    QUICK_RATE,
    share_of_rate,
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
    assert share_of_rate(whole, RECIPE.batch_rows, quick=False) == 1
    assert share_of_rate(4, RECIPE.batch_rows, quick=False) == 1
    assert slowed(RECIPE, 1.0) == RECIPE
    twice = slowed(RECIPE, share_of_rate(2 * whole, RECIPE.batch_rows, quick=False))
    assert twice.learning_rate == RECIPE.learning_rate / 2
    assert twice.learning_rate * twice.kl_weight == RECIPE.learning_rate * RECIPE.kl_weight


def test_a_quick_lesson_is_slow_from_its_first_step_and_a_long_one_slower_still() -> None:
    assert share_of_rate(4, RECIPE.batch_rows, quick=True) == QUICK_RATE
    rows = 4 * FULL_RATE_STEPS * RECIPE.batch_rows
    assert share_of_rate(rows, RECIPE.batch_rows, quick=True) == 0.25 < QUICK_RATE
