"""How a correction stands in the context."""

from __future__ import annotations

from shammah.feedback.injection import TIMES, holds_correction, with_corrections
from shammah.records import Example, ExampleStatus, Level, Message

CORRECTED = Example(
    id=1, turn_id="turn", feedback_id=1, status=ExampleStatus.READY, level=Level.CRITICAL,
    weight=10, messages=[Message(role="user", content="Which port?")], target="Port 7443.",
    rejected=None, note=None, created_at="", updated_at="",
)  # fmt: skip

CHAT = [
    Message(role="system", content="Be brief."),
    Message(role="user", content="Hello."),
    Message(role="assistant", content="Hello!"),
    Message(role="user", content="Which port is it?"),
]


def test_it_stands_right_before_the_newest_message() -> None:
    told = with_corrections(CHAT, [CORRECTED])
    assert told[:3] == CHAT[:3]
    assert told[-1] == CHAT[-1]
    exchange = [
        Message(role="user", content="Which port?"),
        Message(role="assistant", content="Port 7443."),
    ]
    assert told[3:-1] == exchange * TIMES


def test_without_a_correction_nothing_changes() -> None:
    assert with_corrections(CHAT, []) == CHAT


def test_a_conversation_that_has_it_already_is_known() -> None:
    assert not holds_correction(CHAT, CORRECTED)
    assert holds_correction([*CHAT, Message(role="assistant", content="Port 7443.\n")], CORRECTED)
    assert not holds_correction([*CHAT, Message(role="user", content="Port 7443.")], CORRECTED)
