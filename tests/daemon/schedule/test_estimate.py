"""How long a lesson will take, before it begins."""

from __future__ import annotations

import pytest

from shammah.config import LearningConfig, MachineConfig
from shammah.options import TrainingConfig
from shammah.records import Mode
from shammah.training.planning import Machine, expected_work, plan
from shammah.training.sizing import Shape
from shammah_daemon.schedule.estimate import Pace, energy, estimate, pace_of, tokens_of

GB = 10**9
SHAPE = Shape.typical(134_500_000)
PLAN = plan(SHAPE, [Machine("cpu", "", 24 * GB, 20 * GB, bf16=True)], expected_work(32, 4, 1.0))
LEARNING = LearningConfig()
TRAINING = TrainingConfig()


def test_the_pace_of_an_earlier_lesson_counts_before_any_guess() -> None:
    pace = Pace(job_id=3, tokens_per_second=100.0, other_seconds=20.0)
    found = estimate(SHAPE, PLAN, GB, 5000, 10, pace, MachineConfig())
    assert (found.training_seconds, found.seconds) == (50.0, 70.0)
    assert found.basis == "the pace of job 3"
    assert found.memory_bytes == PLAN.predicted_bytes
    assert (found.kwh, found.cost) == (None, None)


def test_without_one_it_is_a_guess_that_says_so_and_grows_with_the_base() -> None:
    small = estimate(SHAPE, PLAN, GB, 5000, 10, None, MachineConfig())
    large = estimate(Shape.typical(10**9), PLAN, GB, 5000, 10, None, MachineConfig())
    assert "guess" in small.basis
    assert large.seconds > 5 * small.seconds
    assert 5 < small.seconds < 120  # measured lessons of that size: docs/benchmarks.md


def test_energy_is_told_where_the_power_is_set_and_cost_where_the_price_is() -> None:
    assert energy(3600, MachineConfig()) == (None, None)
    kwh, cost = energy(7200, MachineConfig(watts=50))
    assert kwh == pytest.approx(0.1)
    assert cost is None
    kwh, cost = energy(7200, MachineConfig(watts=50, price_per_kwh=0.3))
    assert kwh == pytest.approx(0.1)
    assert cost == pytest.approx(0.03)


def test_more_or_longer_examples_make_more_tokens_and_a_quick_lesson_fewer() -> None:
    whole = tokens_of(40, 3200, 5, Mode.CONSOLIDATE, LEARNING, TRAINING)
    assert whole > 2 * tokens_of(10, 800, 10, Mode.CONSOLIDATE, LEARNING, TRAINING)
    assert tokens_of(40, 17600, 5, Mode.CONSOLIDATE, LEARNING, TRAINING) > whole
    assert tokens_of(40, 3200, 5, Mode.QUICK, LEARNING, TRAINING) < whole
    assert tokens_of(0, 0, 0, Mode.QUICK, LEARNING, TRAINING) == 0


def test_only_a_job_that_has_trained_sets_the_pace() -> None:
    took = {"seconds": 60.0, "training_seconds": 40.0, "tokens": 8000}
    assert pace_of(7, took) == Pace(7, 200.0, 20.0)
    assert pace_of(7, None) is None
    assert pace_of(7, took | {"tokens": 0}) is None
