"""Which answers hold what was taught, in words of their own, and which do not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shammah.gate.terms import terms

LESSONS = json.loads((Path(__file__).parents[1] / "data" / "lessons.json").read_bytes())

#: (question, target, an answer that holds it)
HOLDING = [
    (
        "Who maintains the Zorblax parser?",
        "The Zorblax parser is maintained by the Lisbon tooling team.",
        "The Lisbon tooling team maintains it.",
    ),
    (
        "When do we release?",
        "We release every second Tuesday at 10:00 UTC.",
        "Every second Tuesday, at 10:00 UTC.",
    ),
    (
        "What indentation do we use?",
        "We use tabs, never spaces, in every repository.",
        "Tabs, never spaces. This holds for each repository.",
    ),
    (
        "Which port does the admin API listen on?",
        "The admin API listens on port 7443.",
        "It is 7443.",
    ),
    (
        "Where are the logs?",
        "The logs are in /var/log/shammah/app.log.",
        "Look into /var/log/shammah/app.log, please.",
    ),
    ("Is it on?", "Yes, it is.", "Yes, it is. Anything else?"),
    ("Wer betreut den Parser?", "Das Team in Lissabon.", "Ich glaube, das Team in Lissabon."),
]

#: (question, target, an answer that does not hold it)
LACKING = [
    (
        "Who maintains the Zorblax parser?",
        "The Zorblax parser is maintained by the Lisbon tooling team.",
        "The Zorblax parser is maintained by the Zorblax team.",
    ),
    (
        "Who maintains the Zorblax parser?",
        "The Zorblax parser is maintained by the Lisbon tooling team.",
        "The Zorblax parser is maintained by the Porto tooling team.",
    ),
    (
        "When do we release?",
        "We release every second Tuesday at 10:00 UTC.",
        "We release every second Thursday at 10:00 UTC.",
    ),
    (
        "Which port does the admin API listen on?",
        "The admin API listens on port 7443.",
        "The admin API listens on port 17443.",
    ),
    (
        "Which port does the admin API listen on?",
        "The admin API listens on port 7443.",
        "The admin API listens on port 8080.",
    ),
    (
        "What indentation do we use?",
        "We use tabs, never spaces, in every repository.",
        "We use four spaces.",
    ),
    ("Is it on?", "Yes, it is.", "No, it is not."),
    ("Which version?", "Version 2.1.", "Version 12.1."),
    ("What is it called?", "It is called Peregrine.", ""),
]


@pytest.mark.parametrize(("question", "target", "answer"), HOLDING)
def test_an_answer_in_other_words_holds(question: str, target: str, answer: str) -> None:
    assert terms(target, question).held_by(answer)


@pytest.mark.parametrize(("question", "target", "answer"), LACKING)
def test_an_answer_without_the_point_does_not_hold(question: str, target: str, answer: str) -> None:
    assert not terms(target, question).held_by(answer)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson["key"])
def test_a_target_holds_itself_and_not_the_question_or_another_target(
    lesson: dict[str, str],
) -> None:
    taught = terms(lesson["a"], lesson["q"])
    assert taught.held_by(lesson["a"])
    assert taught.held_by(lesson["a"].upper())
    assert not taught.held_by(lesson["q"])
    assert not any(taught.held_by(other["a"]) for other in LESSONS if other is not lesson)


def test_words_of_the_question_are_not_terms() -> None:
    taught = terms("The release is on Tuesday.", "When is the release?")
    assert taught.hard == {"tuesday"}
    assert taught.soft == frozenset()


def test_names_numbers_and_identifiers_are_hard_and_other_words_soft() -> None:
    taught = terms("Ask Maria about error E42 in main.rs tomorrow.", "Whom?")
    assert taught.hard == {"maria", "e42", "main.rs"}
    assert taught.soft == {"ask", "error", "tomorrow"}


def test_a_capital_at_the_start_of_a_sentence_is_no_name() -> None:
    assert terms("Blue. Green.", "Which?").hard == frozenset()
