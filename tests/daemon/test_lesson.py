"""What a lesson is made of."""

from __future__ import annotations

import pytest

from shammah_daemon.lesson import (
    FEW_EXAMPLES,
    FULL_RATE_STEPS,
    LEAST_RATE,
    MANY_EXAMPLES,
    QUICK_RATE,
    share_of_replay,
    slowed,
    slowed_after_others,
)
from tests.training.toys import RECIPE


def test_few_examples_take_half_of_the_replay_and_many_all_of_it() -> None:
    assert share_of_replay(1) == share_of_replay(FEW_EXAMPLES) == 0.5
    assert 0.5 < share_of_replay(FEW_EXAMPLES + 1) < share_of_replay(MANY_EXAMPLES - 1) < 1
    assert share_of_replay(MANY_EXAMPLES) == share_of_replay(10_000) == 1


def test_up_to_so_many_steps_a_lesson_has_the_whole_rate() -> None:
    assert slowed(RECIPE, 1) == slowed(RECIPE, FULL_RATE_STEPS) == RECIPE


def test_in_a_longer_lesson_the_weight_of_the_kl_term_grows_as_the_rate_falls() -> None:
    found = slowed(RECIPE, 2 * FULL_RATE_STEPS)
    assert found.learning_rate == RECIPE.learning_rate / 2
    assert found.kl_weight == 2 * RECIPE.kl_weight


def test_in_a_very_long_lesson_the_rate_stops_falling_and_the_weight_goes_on_growing() -> None:
    found = slowed(RECIPE, 10 * FULL_RATE_STEPS)
    assert found.learning_rate == RECIPE.learning_rate * LEAST_RATE
    assert found.kl_weight == pytest.approx(10 * RECIPE.kl_weight)


def test_a_quick_lesson_is_slow_from_its_first_step_and_a_long_one_slower_still() -> None:
    short = slowed_after_others(RECIPE, 1)
    assert short.learning_rate == RECIPE.learning_rate * QUICK_RATE
    assert short.kl_weight == RECIPE.kl_weight / QUICK_RATE
    long = slowed_after_others(RECIPE, 4 * FULL_RATE_STEPS)
    assert long.learning_rate == RECIPE.learning_rate / 4 < short.learning_rate
    assert long.kl_weight == 4 * RECIPE.kl_weight
