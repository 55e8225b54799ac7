"""What each step sees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shammah.training.schedule import CONVERSATION_TOKENS, KL_GROWTH, Step, Turn, plan
from shammah.training.spec import Dataset
from tests.training.toys import RECIPE, make_rows

DATASET = Dataset(rows=make_rows(3, seed=1), epochs=[[0, 1, 2], [2, 0, 1], [1, 2, 0, 1]])
REPLAY = [replace(row, example_id=None) for row in make_rows(5, seed=2)]


def _turns(steps: list[Step], *, replay: bool) -> list[list[int]]:
    return [
        [turn.row for turns in step.conversations for turn in turns if turn.is_replay == replay]
        for step in steps
    ]


def test_steps_visit_the_epochs_in_order_and_only_the_last_is_short() -> None:
    steps = plan(DATASET, REPLAY, RECIPE)
    assert _turns(steps, replay=False) == [[0, 1, 2, 2], [0, 1, 1, 2], [0, 1]]


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0, 1.3, 2.0])
def test_replay_follows_its_ratio_and_visits_all_rows_before_any_again(ratio: float) -> None:
    steps = plan(DATASET, REPLAY, replace(RECIPE, replay_ratio=ratio))
    replay = [row for rows in _turns(steps, replay=True) for row in rows]
    assert len(replay) == round(10 * ratio)
    for start in range(0, len(replay), 5):
        cycle = replay[start : start + 5]
        assert len(set(cycle)) == len(cycle)


def test_without_replay_rows_there_is_no_replay() -> None:
    assert _turns(plan(DATASET, [], RECIPE), replay=True) == [[], [], []]


def test_every_second_step_asks_in_conversations_that_begin_with_something_else() -> None:
    rows = [replace(row, follow=[7, *row.prompt]) for row in make_rows(4, seed=1)]
    dataset = Dataset(rows, epochs=[[0, 1, 2, 3]] * 4)
    steps = plan(dataset, REPLAY, RECIPE)
    for alone in steps[::2]:
        assert all(len(turns) == 1 for turns in alone.conversations)
    for together in steps[1::2]:
        longest = max(together.conversations, key=len)
        assert [turn.is_replay for turn in longest] == [True] + [False] * 4


def test_an_example_is_asked_once_in_a_conversation() -> None:
    rows = [replace(row, follow=[7, *row.prompt]) for row in make_rows(2, seed=1)]
    dataset = Dataset(rows, epochs=[[0, 1, 0, 1]] * 4)
    for step in plan(dataset, REPLAY, RECIPE):
        for turns in step.conversations:
            asked = [turn.row for turn in turns if not turn.is_replay]
            assert len(asked) == len(set(asked))


@pytest.mark.parametrize(
    "changed", [{"follow": []}, {"system": "Be brief."}, {"follow": [7] * CONVERSATION_TOKENS}]
)
def test_a_row_that_cannot_follow_stands_alone(changed: dict[str, Any]) -> None:
    rows = [replace(row, follow=[7, *row.prompt]) for row in make_rows(4, seed=1)]
    rows[0] = replace(rows[0], **changed)
    for step in plan(Dataset(rows, epochs=[[1, 2, 3, 0]] * 4), REPLAY, RECIPE):
        assert [Turn(0, False)] in step.conversations


def test_the_learning_rate_rises_to_its_peak_and_falls() -> None:
    dataset = Dataset(rows=make_rows(1, seed=1), epochs=[[0] * 80])
    rates = [step.learning_rate for step in plan(dataset, [], RECIPE)]
    assert rates[: RECIPE.warmup_steps + 1] == sorted(rates[: RECIPE.warmup_steps + 1])
    assert rates[RECIPE.warmup_steps :] == sorted(rates[RECIPE.warmup_steps :], reverse=True)
    assert max(rates) == RECIPE.learning_rate
    assert min(rates) > 0


def test_the_kl_term_weighs_more_as_the_learning_rate_falls() -> None:
    dataset = Dataset(rows=make_rows(1, seed=1), epochs=[[0] * 80])
    recipe = replace(RECIPE, kl_weight=0.5)
    steps = plan(dataset, [], recipe)
    grown = [step.kl_weight / recipe.kl_weight for step in steps]
    assert grown[RECIPE.warmup_steps] == min(grown) == 1
    assert grown[-1] == max(grown) == KL_GROWTH
    for step, growth in zip(steps, grown, strict=True):
        if growth < KL_GROWTH:  # a step along its gradient is as long as at the peak
            assert growth * step.learning_rate == pytest.approx(recipe.learning_rate)


def test_a_job_of_two_steps_still_learns() -> None:
    dataset = Dataset(rows=make_rows(1, seed=1), epochs=[[0] * 8])
    assert all(step.learning_rate > 0 for step in plan(dataset, [], RECIPE))
