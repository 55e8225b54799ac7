"""What was changed between two answers, word by word."""

from __future__ import annotations

from shammah.repl.difference import difference, in_brackets


def said(old: str, new: str) -> str:
    return " ".join(in_brackets(piece) for piece in difference(old, new))


def test_changed_words_are_told_from_those_that_stay() -> None:
    assert said("The cat is red.", "The cat is blue.") == "The cat is [-red.-] {+blue.+}"
    assert said("one three", "one two three") == "one {+two+} three"
    assert said("one two three", "one three") == "one [-two-] three"


def test_equal_answers_and_an_empty_one() -> None:
    assert "[-" not in said("the same words", "the same words")
    assert said("wrong", "") == "[-wrong-]"
    assert said("", "right") == "{+right+}"


def test_answers_that_share_little_are_told_one_after_the_other() -> None:
    assert said("the cat of a king", "Ida, the boat") == "[-the cat of a king-] {+Ida, the boat+}"


def test_line_breaks_are_no_change() -> None:
    assert "[-" not in said("one two\n\nthree", "one two three")


def test_of_what_stays_only_the_words_around_a_change_are_shown() -> None:
    old = " ".join(f"w{number}" for number in range(20))
    new = old.replace("w0 ", "W ").replace("w19", "V")
    assert said(old, new) == "[-w0-] {+W+} w1 w2 w3 w4 … w15 w16 w17 w18 [-w19-] {+V+}"
