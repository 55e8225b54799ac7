"""Feedback given inside a chat, as a message that begins with a command. Knows no store."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from shammah.records import Level, Message

_COMMAND = re.compile(r"\s*/(critical|medium|good|fix)(?:\s+(.*))?", re.IGNORECASE | re.DOTALL)

#: What an answer is marked as that is corrected before it was marked.
UNMARKED = Level.MEDIUM


@dataclass(frozen=True)
class FeedbackCommand:
    """`/critical [note]`, `/medium [note]` or `/good [note]`: about the last answer."""

    level: Level
    note: str | None


@dataclass(frozen=True)
class FixCommand:
    """`/fix ANSWER`: what the answer should have been; may be empty, which is for the rules."""

    answer: str


def parse(text: str) -> FeedbackCommand | FixCommand | None:
    """The command that a chat message begins with; None for anything else.

    The argument may go over many lines.
    """
    match = _COMMAND.fullmatch(text)
    if match is None:
        return None
    name, argument = match[1].lower(), (match[2] or "").strip()
    if name == "fix":
        return FixCommand(argument)
    return FeedbackCommand(Level(name), argument or None)


def strip_exchanges(messages: Sequence[Message]) -> list[Message]:
    """A client's history without its commands and without the acknowledgements that follow them.

    The model should neither see them nor learn to write them.
    """
    kept: list[Message] = []
    after_command = False
    for message in messages:
        is_command = message["role"] == "user" and parse(message["content"]) is not None
        is_acknowledgement = after_command and message["role"] == "assistant"
        if not is_command and not is_acknowledgement:
            kept.append(message)
        after_command = is_command
    return kept
