"""Levels weigh what the settings say."""

from __future__ import annotations

from shammah.config import LearningConfig
from shammah.feedback.levels import weight_of
from shammah.records import Level


def test_levels_weigh_10_3_and_1_by_default() -> None:
    assert {level: weight_of(level, LearningConfig()) for level in Level} == {
        Level.CRITICAL: 10,
        Level.MEDIUM: 3,
        Level.GOOD: 1,
    }


def test_the_settings_decide_the_weight() -> None:
    learning = LearningConfig(weight_critical=50, weight_medium=7, weight_good=2)
    assert [weight_of(level, learning) for level in Level] == [50, 7, 2]
