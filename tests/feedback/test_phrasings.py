"""Forms of a question: its words untouched, the judge's forms kept out of training."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shammah.feedback.phrasings import MOST, held_out, phrasings, rephrased
from shammah.records import Message

questions = st.text(min_size=1).filter(str.strip)


@given(questions, st.integers(1, MOST))
def test_all_phrasings_differ_and_the_question_comes_first(question: str, count: int) -> None:
    made = phrasings(question, count)
    assert len(set(made)) == len(made) <= count
    assert made[0] == question.strip()


def test_an_ordinary_question_has_as_many_phrasings_as_there_can_be() -> None:
    assert len(phrasings("Which port does the gateway of the office use?", 99)) == MOST


@given(questions)
def test_the_same_question_always_has_the_same_phrasings(question: str) -> None:
    assert phrasings(question, MOST) == phrasings(question, MOST)


def test_some_phrasings_keep_only_the_words_that_matter() -> None:
    made = phrasings("Which port does the gateway use?", MOST)
    assert "Port gateway?" in made
    assert "Tell me about gateway port." in made


def test_some_phrasings_are_other_words_for_the_same_question() -> None:
    assert "What port does the gateway use?" in phrasings("Which port does the gateway use?", MOST)


def test_no_phrasing_loses_a_word_that_matters() -> None:
    for form in phrasings("Which port does the gateway use?", MOST):
        assert "port" in form.lower()
        assert "gateway" in form.lower()


@given(questions)
def test_the_judge_asks_what_was_not_trained(question: str) -> None:
    assert len(set(held_out(question))) == 2
    assert not set(held_out(question)) & set(phrasings(question, MOST))


@given(questions)
def test_the_question_stays_whole_in_the_judges_forms(question: str) -> None:
    for form in held_out(question):
        assert question.strip()[1:] in form


def test_a_smaller_number_is_the_beginning_of_a_greater_one() -> None:
    assert phrasings("Which port?", 3) == phrasings("Which port?", MOST)[:3]


def test_a_common_first_word_is_written_small_inside_a_sentence() -> None:
    assert "Please tell me: which port?" in phrasings("Which port?", MOST)


@pytest.mark.parametrize("question", ["Rust or Go?", "HOW?", "`What` is?", "I am who?", "Öl?"])
def test_names_and_code_keep_their_first_letter(question: str) -> None:
    assert f"Please tell me: {question}" in phrasings(question, MOST)


def test_a_question_without_a_mark_gets_one_before_another_sentence() -> None:
    assert "which port? Thanks." in phrasings("which port", MOST)
    assert "name the port. Thanks." in phrasings("name the port", MOST)
    assert "which port" in phrasings("which port", MOST)


@pytest.mark.parametrize(
    "question", ["Fix:\n```\nx = 1\n```", "Two\nlines", "Inline ```x``` fence", "word " * 61]
)
def test_code_and_long_questions_are_framed_by_whole_lines(question: str) -> None:
    for form in phrasings(question, MOST)[1:] + held_out(question):
        assert (
            question.strip() in form.split("\n\n")
            or f"\n\n{question.strip()}" in form
            or (form.startswith(f"{question.strip()}\n\n"))
        )


def test_braces_in_a_question_are_only_text() -> None:
    assert "Quick question: Name {q} or {0}?" in phrasings("Name {q} or {0}?", MOST)


def test_only_the_newest_question_is_rephrased() -> None:
    messages = [
        Message(role="system", content="Be brief."),
        Message(role="user", content="Which port?"),
        Message(role="assistant", content="Port 80."),
        Message(role="user", content="Why?"),
    ]
    made = rephrased(messages, "Hi! Why?")
    assert made == [*messages[:3], Message(role="user", content="Hi! Why?")]
    assert messages[3]["content"] == "Why?"
