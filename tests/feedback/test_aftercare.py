"""What speaks against a version, and what does not."""

from __future__ import annotations

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shammah.feedback.aftercare import rise, trouble
from shammah.records import Tally

QUIET = Tally(answers=200, critical=4)


def test_one_lesson_corrected_again_is_no_trouble_but_two_are() -> None:
    assert trouble({1}, QUIET, QUIET) is None
    assert trouble({1, 2}, QUIET, QUIET) == "2 lessons that it was taught had to be corrected again"


def test_a_clear_rise_of_critical_feedback_is_trouble() -> None:
    said = trouble((), Tally(answers=20, critical=8), QUIET)
    assert said == "8 of its 20 answers were marked critical, 4 of 200 before"


@pytest.mark.parametrize(
    "now",
    [
        Tally(answers=200, critical=6),  # within chance
        Tally(answers=2, critical=2),  # too few to say anything
        Tally(answers=0, critical=0),
    ],
)
def test_what_chance_explains_is_no_trouble(now: Tally) -> None:
    assert trouble((), now, QUIET) is None


def test_the_first_answers_of_all_have_nothing_to_be_compared_with() -> None:
    assert trouble((), Tally(answers=9, critical=9), Tally(answers=0, critical=0)) is None


def test_the_tea_of_the_lady() -> None:
    """Fisher, The Design of Experiments (1935), chapter 2: three of four cups right, p = 17/70."""
    assert rise(Tally(4, 3), Tally(4, 1)) == pytest.approx(17 / 70)


@given(st.integers(0, 30), st.integers(0, 30), st.data())
def test_the_rise_is_the_exact_upper_tail(n: int, m: int, data: st.DataObject) -> None:
    a = data.draw(st.integers(0, n))
    b = data.draw(st.integers(0, m))
    ways = sum(comb(a + b, k) * comb(n + m - a - b, n - k) for k in range(a, min(a + b, n) + 1))
    assert rise(Tally(n, a), Tally(m, b)) == pytest.approx(ways / comb(n + m, n))
