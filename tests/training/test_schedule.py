"""What each step sees."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shammah.training.schedule import plan
from shammah.training.spec import Dataset
from tests.training.toys import RECIPE

DATASET = Dataset(rows=[], epochs=[[0, 1, 2], [2, 0, 1], [1, 2, 0, 1]])


def test_steps_visit_the_epochs_in_order_and_only_the_last_is_short() -> None:
    steps = plan(DATASET, 5, RECIPE)
    assert [step.examples for step in steps] == [[0, 1, 2, 2], [0, 1, 1, 2], [0, 1]]


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0, 1.3, 2.0])
def test_replay_follows_its_ratio_and_visits_all_rows_before_any_again(ratio: float) -> None:
    steps = plan(DATASET, 5, replace(RECIPE, replay_ratio=ratio))
    replay = [row for step in steps for row in step.replay]
    assert len(replay) == round(10 * ratio)
    for start in range(0, len(replay), 5):
        cycle = replay[start : start + 5]
        assert len(set(cycle)) == len(cycle)


def test_without_replay_rows_there_is_no_replay() -> None:
    assert all(step.replay == [] for step in plan(DATASET, 0, RECIPE))


def test_the_learning_rate_rises_to_its_peak_and_falls() -> None:
    dataset = Dataset(rows=[], epochs=[[0] * 80])
    rates = [step.learning_rate for step in plan(dataset, 0, RECIPE)]
    assert rates[: RECIPE.warmup_steps + 1] == sorted(rates[: RECIPE.warmup_steps + 1])
    assert rates[RECIPE.warmup_steps :] == sorted(rates[RECIPE.warmup_steps :], reverse=True)
    assert max(rates) == RECIPE.learning_rate
    assert min(rates) > 0


def test_a_job_of_two_steps_still_learns() -> None:
    dataset = Dataset(rows=[], epochs=[[0] * 8])
    assert all(step.learning_rate > 0 for step in plan(dataset, 0, RECIPE))
