"""When a question asks again what was corrected, and when only its words are like it."""

from __future__ import annotations

import pytest

from benchmarks.injection import unrelated
from benchmarks.lessons import OWN, load
from shammah.feedback.matching import best_match, search_words
from shammah.records import Example, ExampleStatus, Level, Message

LESSONS = load(OWN)


def example(
    question: str, target: str = "As corrected.", number: int = 1, history: int = 0
) -> Example:
    before = [
        Message(role="user", content="Tell me of the lab."),
        Message(role="assistant", content="It is a lab."),
    ] * history
    return Example(
        id=number, turn_id="turn", feedback_id=1, status=ExampleStatus.READY,
        level=Level.CRITICAL, weight=10, messages=[*before, Message(role="user", content=question)],
        target=target, rejected=None, note=None, created_at="", updated_at="",
    )  # fmt: skip


TAUGHT = [example(one.question, one.answer, number) for number, one in enumerate(LESSONS)]


def matches(asked: str, corrected: str, target: str = "As corrected.") -> bool:
    return best_match(asked, [example(corrected, target)]) is not None


def test_every_lesson_is_found_by_its_own_question() -> None:
    found = [best_match(lesson.question, TAUGHT) for lesson in LESSONS]
    assert found == TAUGHT


def test_near_wordings_find_their_lesson_and_no_other() -> None:
    found = [
        (best_match(wording, TAUGHT), taught)
        for lesson, taught in zip(LESSONS, TAUGHT, strict=True)
        for wording in lesson.near
    ]
    assert sum(match == taught for match, taught in found) >= 0.95 * len(found)
    assert {match for match, taught in found if match not in (None, taught)} == set()


def test_unrelated_questions_find_nothing() -> None:
    assert [question for _, question in unrelated() if best_match(question, TAUGHT)] == []


@pytest.mark.parametrize(
    ("asked", "corrected"),
    [
        ("The gateway listens on which port?", "What port does the gateway listen on?"),
        ("Who owns the Zorblax parser?", "Who maintains the Zorblax parser?"),
        ("Tell me the length of the on-call rotation.", "What is the on-call rotation length?"),
        ("What do we call the staging cluster?", "What is the name of our staging cluster?"),
        ("Tell me how to get a new laptop.", "How do I request a new laptop?"),
        ("WHAT PORT DOES THE GATEWAY LISTEN ON", "What port does the gateway listen on?"),
        ("Who are you?", "Who are you?"),
        ("Wie heißt unser Testsystem?", "Wie heißt unser Testsystem?"),
        ("我们用什么缩进", "我们用什么缩进"),
    ],
)
def test_the_same_question_in_other_words(asked: str, corrected: str) -> None:
    assert matches(asked, corrected)


@pytest.mark.parametrize(
    ("asked", "corrected"),
    [
        ("What port does the database listen on?", "What port does the gateway listen on?"),
        ("Who maintains the Quibble parser?", "Who maintains the Zorblax parser?"),
        ("Who maintains the parser?", "Who maintains the Zorblax parser?"),
        ("When was the Zorblax parser made?", "Who maintains the Zorblax parser?"),
        ("What is a security exception?", "Who approves security exceptions?"),
        ("Where is the primary button?", "What colour is the primary button?"),
        ("What are logs?", "How long do we keep logs?"),
        (
            "What should I not commit to the main branch?",
            "What should I commit to the main branch?",
        ),
        ("Who are we?", "Who are you?"),
        ("Hello!", "What port does the gateway listen on?"),
        ("", "What port does the gateway listen on?"),
    ],
)
def test_another_question_in_like_words(asked: str, corrected: str) -> None:
    assert not matches(asked, corrected)


def test_words_of_the_target_belong_to_the_subject() -> None:
    asked, corrected = "Do we indent with tabs?", "What indentation do we use?"
    assert matches(asked, corrected, "We use tabs, never spaces.")
    assert not matches(asked, corrected, "Whatever the file has.")


def test_of_two_corrections_of_one_question_the_newer_holds() -> None:
    older, newer = (example("When do we release?", number=number) for number in (1, 2))
    assert best_match("When do we release?", [newer, older]) == newer


def test_between_two_that_fit_equally_none_is_taken() -> None:
    clusters = [
        example(f"What is the name of our {kind} cluster?", number=number)
        for number, kind in enumerate(["staging", "production"])
    ]
    assert best_match("What is our cluster called?", clusters) is None
    assert best_match("What is our staging cluster called?", clusters) == clusters[0]


def test_a_question_that_needed_its_history_is_not_matched_without() -> None:
    assert (
        best_match("And who cleans the lab?", [example("And who cleans the lab?", history=1)])
        is None
    )


def test_a_long_text_is_matched_by_its_own_words_only() -> None:
    text = "Where is the bug in this report? " + "It fails for our gateway on port 80. " * 20
    assert search_words(text) == []
    assert not matches(text + "It is new.", text)


def test_what_is_searched_for_are_the_words_with_a_meaning() -> None:
    assert search_words("Tell me who maintains Zorblax's parser.") == [
        "maintains",
        "zorblax",
        "parser",
    ]
    assert search_words("Who are you?") == ["who", "are", "you"]
