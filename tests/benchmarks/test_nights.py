"""Which lessons the nights take, and how their scores are shown."""

from __future__ import annotations

import pytest

from benchmarks import lessons as lessons_module
from benchmarks.lessons import Lesson
from benchmarks.nights import Arm, Night, Result, run, section
from benchmarks.scores import Score
from shammah.errors import UsageError


def night(*near: Score) -> Night:
    return Night("promoted", "learned 10 of 10", 0.05, 60.0, 40.0, list(near))


def test_the_loss_of_the_first_night_is_in_points() -> None:
    arm = Arm("quick", [night(Score(30, 30)), night(Score(27, 30), Score(29, 30))])
    assert arm.lost_points == pytest.approx(10.0)


def test_every_night_is_a_row_with_the_scores_of_all_nights_so_far() -> None:
    arms = [
        Arm(mode, [night(Score(30, 30)), night(Score(28, 30), Score(29, 30))])
        for mode in ("consolidate", "quick")
    ]
    shown = section(Result(arms))
    assert [row[0] for row in shown.rows] == [
        "consolidate, night 1", "consolidate, night 2", "quick, night 1", "quick, night 2",
    ]  # fmt: skip
    assert [row[5:] for row in shown.rows[:2]] == [("30/30", ""), ("28/30", "29/30")]
    assert {len(row) for row in shown.rows} == {len(shown.columns)}
    assert "6.7 points" in shown.notes[1]


def test_more_nights_than_lessons_are_refused() -> None:
    own = [lesson for path in lessons_module.ALL_OWN for lesson in lessons_module.load(path)]
    with pytest.raises(UsageError, match="19 nights take 190 lessons, there are 181"):
        run([*own, Lesson("Who?", "Ada.", "Ada", [], [])], 19, lambda _: None)
