"""Proposals for what a disliked answer should have been. Knows no model: it is asked elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from shammah.feedback.phrasings import rephrased
from shammah.records import Example, Message

#: A note of fewer words is a remark, not an answer.
_LEAST_WORDS = 3

#: What a note begins with when it speaks about the answer instead of giving it.
_COMPLAINT = re.compile(
    r"(wrong|no|nope|not|isn't|incorrect|false|bad|terrible|awful|useless|too|way too|more|less"
    r"|shorter|longer|should|shouldn't|must|you|your|you're|please|stop|don't|do not|try|say|tell"
    r"|give|explain|mention|add|remove|be|this|that's|that is|that was|the (?:answer|reply"
    r"|response|tone|format|style)(?! is\b)|it should|it's wrong|it is wrong|i (?:asked|wanted"
    r"|want|need|said|don't|meant|expected)|missing|forgot|needs?|lacks?|why|what|who|how|when"
    r"|where|which)\b",
    re.IGNORECASE,
)
_SPEAKS_OF_ANSWER = re.compile(
    r"\b(wrong|incorrect|mistaken|made[- ]up|hallucinat\w*|your answer|you should|should have"
    r"|(?:answer|reply|response) (?:is|was) (?:too|not|wrong|bad))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Proposal:
    """A draft of a target and who wrote it."""

    text: str
    source: Literal["note", "model", "none"]


def draft_messages(example: Example) -> list[Message]:
    """The example's question once more, with the user's note and without the bad answer."""
    if example.note is None:
        request = f"{example.question}\n\nThink again, and give the correct answer only."
    else:
        request = (
            f"{example.question}\n\nAn earlier answer to this was bad. The note on it says: "
            f"{example.note}\n\nFollow the note, and give the correct answer only."
        )
    return rephrased(example.messages, request)


def choose(note: str | None, model_answer: str, rejected: str | None) -> Proposal:
    """The better proposal: the note where it states the answer, else the model's second try.

    Neither may repeat the rejected answer, and the model may not merely repeat the note.
    """
    if note is not None and states_answer(note) and _plain(note) != _plain(rejected):
        return Proposal(note.strip(), "note")
    if _plain(model_answer) in ("", _plain(rejected), _plain(note)):
        return Proposal("", "none")
    return Proposal(model_answer.strip(), "model")


def states_answer(note: str) -> bool:
    """Whether a note reads as the answer itself and not as a remark about the bad one.

    A heuristic on English wording: the draft that follows from it is shown before it is taught.
    """
    text = note.strip()
    return (
        len(text.split()) >= _LEAST_WORDS
        and not text.endswith("?")
        and not _COMPLAINT.match(text)
        and not _SPEAKS_OF_ANSWER.search(text)
    )


def _plain(text: str | None) -> str:
    """The words alone, for comparing."""
    return " ".join(re.findall(r"\w+", (text or "").casefold()))
