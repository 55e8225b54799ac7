"""Feedback typed into a chat, and a history without it."""

from __future__ import annotations

import pytest

from shammah.feedback.commands import FeedbackCommand, FixCommand, parse, strip_exchanges
from shammah.records import Level, Message


def user(content: str) -> Message:
    return Message(role="user", content=content)


def assistant(content: str) -> Message:
    return Message(role="assistant", content=content)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("/critical", FeedbackCommand(Level.CRITICAL, None)),
        ("/critical wrong port", FeedbackCommand(Level.CRITICAL, "wrong port")),
        ("  /MEDIUM\ttoo long \n", FeedbackCommand(Level.MEDIUM, "too long")),
        ("/Good\n", FeedbackCommand(Level.GOOD, None)),
        ("/good one\n\ntwo", FeedbackCommand(Level.GOOD, "one\n\ntwo")),
        ("/fix Port 7443.", FixCommand("Port 7443.")),
        ("/fix\ndef f():\n    return 1\n", FixCommand("def f():\n    return 1")),
        ("/fix", FixCommand("")),
    ],
)
def test_a_command_is_read_with_its_argument(
    text: str, command: FeedbackCommand | FixCommand
) -> None:
    assert parse(text) == command


@pytest.mark.parametrize(
    "text",
    ["", "critical", "/criticality", "/good-morning", "What does /fix do?", "/help", "/ fix x"],
)
def test_anything_else_is_no_command(text: str) -> None:
    assert parse(text) is None


def test_commands_and_their_acknowledgements_leave_the_history() -> None:
    history = [
        Message(role="system", content="Be brief."),
        user("Which port?"),
        assistant("Port 80."),
        user("/critical"),
        assistant("Recorded. What should the answer have been?"),
        user("/fix Port 7443."),
        assistant("Recorded."),
        user("And the host?"),
        assistant("Peregrine."),
    ]
    assert strip_exchanges(history) == [*history[:3], *history[7:]]


def test_a_command_without_an_acknowledgement_takes_nothing_else_along() -> None:
    history = [user("/good"), user("Which port?"), assistant("Port 80."), user("/medium")]
    assert strip_exchanges(history) == history[1:3]


def test_an_assistant_that_writes_a_command_is_kept() -> None:
    history = [user("How do I say it is bad?"), assistant("/critical"), assistant("Like so.")]
    assert strip_exchanges(history) == history
