"""Questions in other words, by their grammar."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shammah.feedback.rewording import reworded


@pytest.mark.parametrize(
    ("question", "forms"),
    [
        (
            "Which port do our servers use?",
            [
                "Tell me which port our servers use.",
                "What port do our servers use?",
                "Our servers use which port?",
                "I need to know which port our servers use.",
            ],
        ),
        ("Where does the band rehearse?", ["In which place does the band rehearse?"]),
        ("What should it begin with?", []),
        ("How long does it last?", ["For how long does it last?"]),
        (
            "What is the name of the cat?",
            ["Tell me the name of the cat.", "The name of the cat is what?"],
        ),
        ("Who are the owners?", ["Which person or team are the owners?", "The owners are who?"]),
        (
            "Which mill supplies the flour?",
            [
                "Tell me which mill supplies the flour.",
                "What mill supplies the flour?",
                "I need to know which mill supplies the flour.",
            ],
        ),
    ],
)
def test_a_question_of_a_known_form_is_asked_otherwise(question: str, forms: list[str]) -> None:
    assert reworded(question) == forms


@pytest.mark.parametrize(
    "question",
    ["Is it open on Sunday?", "Wer wohnt hier?", "Explain recursion.", "What?", "How many?", "..."],
)
def test_where_the_form_is_not_known_there_is_no_other(question: str) -> None:
    assert reworded(question) == []


@given(st.text())
def test_any_text_is_taken(text: str) -> None:
    assert all(form.strip() for form in reworded(text))


@given(st.sampled_from(["Which port", "Who", "How long"]), st.sampled_from(["do", "does", "is"]))
def test_no_word_after_the_first_ones_is_lost(asked: str, verb: str) -> None:
    forms = reworded(f"{asked} {verb} the old gateway in Oslo use?")
    assert forms
    for form in forms:
        assert "the old gateway in oslo use" in form.lower()
