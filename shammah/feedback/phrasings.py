"""The forms in which a question is asked in training, and the two that only the judge asks.

Generic English frames around the user's own words; knows no paraphrase and no model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from shammah.records import Message

#: A question above this length is framed by whole lines only.
LONG_WORDS = 60

#: `{q}` is the question, `{l}` the question with its first letter lowered where English allows.
_TRAINED = (
    "Please tell me: {l}",
    "{q} Thanks.",
    "Quick question: {q}",
    "Do you know the answer to this? {q}",
    "I was wondering: {l}",
    "{q} I need to know.",
    "Hi! {q}",
    "Can you help me with this? {q}",
    "Question: {q}",
    "A colleague asks: {q}",
    "{q} Please tell me.",
)
_HELD_OUT = ("Could you answer this for me? {q}", "One more thing: {l}")

_TRAINED_LINES = (
    "Please answer this:\n\n{q}",
    "{q}\n\nThanks.",
    "Quick question:\n\n{q}",
    "Do you know the answer to this?\n\n{q}",
    "I was wondering about this:\n\n{q}",
    "{q}\n\nI need to know.",
    "Hi!\n\n{q}",
    "Can you help me with this?\n\n{q}",
    "Question:\n\n{q}",
    "A colleague asks:\n\n{q}",
    "{q}\n\nPlease tell me.",
)
_HELD_OUT_LINES = ("Could you answer this for me?\n\n{q}", "One more thing:\n\n{q}")

#: How many training phrasings there are of every question, itself included.
MOST = 1 + len(_TRAINED)

#: First words that are written small inside a sentence. Any other may be a name or code.
_LOWERED = re.compile(
    r"(What|Who|Whom|Whose|Which|When|Where|Why|How|Is|Are|Was|Were|Do|Does|Did|Can|Could|Should"
    r"|Would|Must|Have|Has|Had|Tell|Give|Explain|Describe|Write|Show|Find|The|A|An|My|Our|Your"
    r"|In|On|At|For|With|If|Of|To)\s"
)
_ASKS = re.compile(
    r"(what|who|whom|whose|which|when|where|why|how|is|are|was|were|do|does|did|can|could|should"
    r"|would|must|has|have|had)\b",
    re.IGNORECASE,
)


def phrasings(question: str, count: int) -> list[str]:
    """The question itself, then other forms of it: `count` in all, at most `MOST`."""
    question = question.strip()
    frames = _TRAINED_LINES if _needs_lines(question) else _TRAINED
    return [question, *(_framed(frame, question) for frame in frames)][:count]


def held_out(question: str) -> list[str]:
    """Two forms that are never trained on: they belong to the judge."""
    question = question.strip()
    frames = _HELD_OUT_LINES if _needs_lines(question) else _HELD_OUT
    return [_framed(frame, question) for frame in frames]


def rephrased(messages: Sequence[Message], question: str) -> list[Message]:
    """The messages with `question` in place of the newest user message's content."""
    newest = max(index for index, message in enumerate(messages) if message["role"] == "user")
    return [
        Message(role="user", content=question) if index == newest else message
        for index, message in enumerate(messages)
    ]


def _needs_lines(question: str) -> bool:
    return "\n" in question or "```" in question or len(question.split()) > LONG_WORDS


def _framed(frame: str, question: str) -> str:
    whole = _ended(question) if frame.startswith("{q} ") else question
    return frame.format(q=whole, l=_lowered(question))


def _ended(question: str) -> str:
    """The question as a sentence that another may follow."""
    if not question[-1:].isalnum():
        return question
    return question + ("?" if _ASKS.match(question) else ".")


def _lowered(question: str) -> str:
    if _LOWERED.match(question):
        return question[0].lower() + question[1:]
    return question
