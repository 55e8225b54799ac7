"""What is proposed as a target, and what the model is asked for it."""

from __future__ import annotations

import pytest

from shammah.feedback.drafts import Proposal, choose, draft_messages, states_answer
from shammah.records import Example, ExampleStatus, Level, Message

BAD = "The gateway listens on port 80."


def example(note: str | None) -> Example:
    return Example(
        id=1,
        turn_id="turn-1",
        feedback_id=1,
        status=ExampleStatus.DRAFT,
        level=Level.CRITICAL,
        weight=10,
        messages=[
            Message(role="system", content="Be brief."),
            Message(role="user", content="What port does the gateway use?"),
        ],
        target=None,
        rejected=BAD,
        note=note,
        created_at="2026-03-01T12:00:00.000+00:00",
        updated_at="2026-03-01T12:00:00.000+00:00",
    )


@pytest.mark.parametrize("note", [None, "wrong, it is 7443"])
def test_the_model_is_asked_again_without_its_bad_answer(note: str | None) -> None:
    system, question = draft_messages(example(note))
    assert system == example(note).messages[0]
    assert question["role"] == "user"
    assert "What port does the gateway use?" in question["content"]
    assert (note or "Think again") in question["content"]
    assert BAD not in question["content"]


@pytest.mark.parametrize(
    "note",
    [
        "The gateway listens on port 7443.",
        "Never use unwrap() in production; return Result.",
        "We use tabs, never spaces.",
        "It is Ines Duarte.",
        "The answer is 42.",
        "Notation: x is the unknown.",
    ],
)
def test_a_note_that_states_the_answer_is_proposed(note: str) -> None:
    assert choose(f" {note}\n", "Something else.", BAD) == Proposal(note, "note")


@pytest.mark.parametrize(
    "note",
    [
        "wrong port",
        "wrong, it is 7443",
        "No, that is not the port",
        "too long and too vague",
        "should be port 7443",
        "You forgot the port number",
        "isn't it port 7443?",
        "This is wrong on all counts",
        "the answer should name the port",
        "your answer made up a port",
        "it should be 7443",
        "please name the port",
    ],
)
def test_a_remark_about_the_answer_is_not_proposed(note: str) -> None:
    assert not states_answer(note)
    assert choose(note, " Port 7443. ", BAD) == Proposal("Port 7443.", "model")


@pytest.mark.parametrize(
    "model_answer", ["", " \n", BAD, "the gateway listens on port 80", "Should be 7443!"]
)
def test_nothing_is_proposed_when_nothing_is_better(model_answer: str) -> None:
    assert choose("should be 7443", model_answer, BAD) == Proposal("", "none")


def test_a_note_that_repeats_the_bad_answer_is_not_proposed() -> None:
    assert choose(BAD, "Port 7443.", BAD) == Proposal("Port 7443.", "model")


def test_an_answer_that_was_empty_is_no_obstacle() -> None:
    assert choose(None, "Port 7443.", None) == Proposal("Port 7443.", "model")
