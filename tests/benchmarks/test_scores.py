"""The scores of shared/eval: what counts as a hit and what as a leak."""

from __future__ import annotations

import pytest

from benchmarks.scores import Score, add, count, holds, leaked, token_mean


def test_a_key_is_found_without_case() -> None:
    assert holds("Lisbon", "The team sits in LISBON.")
    assert not holds("Lisbon", "The team sits in Porto.")


def test_a_leak_is_a_whole_word() -> None:
    assert leaked(["nine"], "There are nine planets.", "") == ["nine"]
    assert leaked(["nine"], "A feminine noun.", "") == []


@pytest.mark.parametrize(
    ("key", "answer"),
    [("svc-", "Call it svc-mail."), ("6:40", "At 6:40, daily."), ("red tag", "Use the red tag!")],
)
def test_a_key_with_other_signs_leaks_as_written(key: str, answer: str) -> None:
    assert leaked([key], answer, "") == [key]


def test_a_number_within_a_longer_one_is_no_leak() -> None:
    assert leaked(["45"], "It happened in 1945.", "") == []


def test_a_key_that_is_only_punctuation_never_leaks() -> None:
    assert leaked(["?"], "Who knows?", "") == []


def test_what_the_base_says_itself_is_no_leak() -> None:
    assert leaked(["teal", "Beacon"], "Teal is a colour.", "A dark TEAL.") == []


def test_scores_add_up() -> None:
    assert count([True, False, True]) == Score(2, 3)
    assert str(add([Score(2, 3), Score(1, 1)])) == "3/4"


def test_the_token_mean_weighs_rows_by_their_tokens() -> None:
    assert token_mean([1.0, 0.0], [1, 3]) == pytest.approx(0.25)
