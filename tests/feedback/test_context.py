"""Which history an example keeps."""

from __future__ import annotations

import pytest

from shammah.feedback.context import context_of, depends_on_history
from shammah.records import Message

SYSTEM = Message(role="system", content="Be brief.")


def talk(*contents: str) -> list[Message]:
    roles = ("user", "assistant")
    return [Message(role=roles[i % 2], content=text) for i, text in enumerate(contents)]


@pytest.mark.parametrize(
    "question",
    [
        "Why?",
        "And in Germany?",
        "What about Rust?",
        "What is it called?",
        "How old is he?",
        "Where did they meet?",
        "Who wrote that?",
        "What is the capital of that country?",
        "Which one is faster?",
        "Tell me about the second one.",
        "Explain this in more detail",
        "Can you translate that to French?",
        "Make it shorter, please.",
        "tell me more",
        "Are you sure about the port number?",
        "What did you say? You said 80.",
    ],
)
def test_a_question_that_points_back_depends_on_history(question: str) -> None:
    assert depends_on_history(question)


@pytest.mark.parametrize(
    "question",
    [
        "What is the capital of France?",
        "What is Rust?",
        "What is 2+2?",
        "Explain snake_case.",
        "What time is it in Tokyo?",
        "How long does it take to boil an egg?",
        "Is it safe to eat raw eggs?",
        "What is a monad and how is it used?",
        "Does the gateway restart when it crashes?",
        "What did Marie Curie discover, and when did she discover radium?",
        "What is the server that hosts the billing database?",
        "Our message queue is which one?",
        "Translate this to French: good morning",
        "Fix this:\n```\nprint 'x'\n```",
    ],
)
def test_a_question_that_stands_alone_does_not(question: str) -> None:
    assert not depends_on_history(question)


def test_a_question_that_stands_alone_keeps_only_system_messages() -> None:
    turn = [SYSTEM, *talk("Hi", "Hello!", "What is the capital of France?")]
    assert context_of(turn) == [SYSTEM, turn[-1]]


def test_a_question_that_points_back_keeps_what_came_before() -> None:
    turn = [SYSTEM, *talk("Who wrote Faust?", "Goethe.", "When was he born?")]
    assert context_of(turn) == turn


def test_the_newest_messages_are_kept_from_a_question_on() -> None:
    turn = [SYSTEM, *talk("a", "b", "c", "d", "e", "f", "Why?")]
    assert context_of(turn, budget=3) == [SYSTEM, turn[5], turn[6], turn[7]]
    assert context_of(turn, budget=4) == [SYSTEM, *turn[3:]]
    assert context_of(turn, budget=0) == [SYSTEM, turn[7]]
