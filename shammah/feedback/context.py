"""What of a turn's history an example keeps, so that it teaches the question and no more.

The rule reads English by its surface: a heuristic that knows no grammar. Where it errs, an
example keeps history that it did not need, or is taught without history that it did.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from shammah.records import Message

#: Enough for what a pronoun refers to; more would teach the conversation, not the answer.
HISTORY_MESSAGES = 6

_SYSTEM_ROLES = frozenset({"system", "developer"})

#: An opening that continues what was said before.
_CONTINUES = re.compile(
    r"(and|but|or|so|then|also|what about|how about|what else|who else|where else|which ones?"
    r"|why not|how so|how come|are you sure|go on|continue|instead|same|again|no|yes|ok|okay)\b",
    re.IGNORECASE,
)

#: A word for something named before, whatever else the question says.
_POINTS_BACK = re.compile(
    r"\b((?:this|that) ones?"
    r"|the (?:first|second|third|last|next|other|same|former|latter|previous|right|wrong) ones?"
    r"|the (?:former|latter|above|others)"
    r"|you (?:just )?(?:said|wrote|mentioned|told me)"
    r"|(?:your|the) (?:last|previous) (?:answer|reply)"
    r"|(?:is|was|are|does|did|do|about|of|for|in|with|like|on|to|from|after|before) (?:that|those)"
    r"|(?:this|that|these|those)(?=\s*(?:[.?!,;]|$)))\b",
    re.IGNORECASE,
)

#: A request to work on what was said, unless the text to work on follows.
_WORKS_ON = re.compile(
    r"\b(?:explain|translate|summari[sz]e|rewrite|rephrase|repeat|make|shorten|expand on"
    r"|elaborate on|simplify|improve|fix|put|say) (?:this|that|these|those)\b(?!.*[:\n]\s*\S)",
    re.IGNORECASE | re.DOTALL,
)

#: Pronouns that refer to the nearest thing named, which may be in the question itself.
_PRONOUN = re.compile(r"\b(it|its|he|him|his|she|her|hers|they|them|their|theirs)\b", re.IGNORECASE)

#: "it" that refers to nothing.
_EMPTY_IT = re.compile(
    r"\b(what (?:time|day|date|year) is it|(?:is|was|would) it (?:true|possible|safe|worth|ok|okay"
    r"|legal|better|best|necessary|normal|raining|snowing|going to rain)"
    r"|(?:does|did|will|would) it (?:take|cost|matter))\b",
    re.IGNORECASE,
)

_DETERMINER = re.compile(
    r"\b(?:a|an|the|my|our|your|each|every|any|some|no|this|these|those) \w+", re.IGNORECASE
)

_WORD = re.compile(r"[^\W_](?:[\w'.+#/-]*\w)?|\S")
_FEW_WORDS = 4


def depends_on_history(question: str) -> bool:
    """Whether the question can probably not be understood without what came before.

    True for openings such as "and", for "that", "the second one" and the like, for a pronoun
    with nothing in the question before it that it could refer to, and for fewer than four words
    without a name, number or identifier.
    """
    text = question.strip()
    if _CONTINUES.match(text) or _POINTS_BACK.search(text) or _WORKS_ON.search(text):
        return True
    words = _WORD.findall(text)
    if sum(word[0].isalnum() for word in words) < _FEW_WORDS and not _names_something(words):
        return True
    pronoun = _PRONOUN.search(_EMPTY_IT.sub("", text))
    return pronoun is not None and not _refers_inside(text, pronoun[0])


def context_of(messages: Sequence[Message], budget: int = HISTORY_MESSAGES) -> list[Message]:
    """The messages that an example keeps of a turn's, ending with the newest question.

    System messages stay. Of the others, the newest `budget` stay if the question depends on
    them, from a user's message on, as chat templates want it.
    """
    newest = max(
        (index for index, message in enumerate(messages) if message["role"] == "user"), default=0
    )
    system = [message for message in messages[:newest] if message["role"] in _SYSTEM_ROLES]
    earlier: list[Message] = []
    if depends_on_history(messages[newest]["content"]):
        others = [message for message in messages[:newest] if message["role"] not in _SYSTEM_ROLES]
        earlier = others[-budget:] if budget else []
        while earlier and earlier[0]["role"] != "user":
            earlier = earlier[1:]
    return [*system, *earlier, messages[newest]]


def _refers_inside(text: str, pronoun: str) -> bool:
    """Whether a thing that the pronoun could refer to is named before it."""
    before = re.split(rf"\b{pronoun}\b", text, maxsplit=1)[0]
    return bool(_DETERMINER.search(before)) or _names_something(_WORD.findall(before))


def is_name(index: int, word: str) -> bool:
    """Whether the word at `index` of a sentence is a name, a number or an identifier; a first
    word's capital tells nothing."""
    return (
        any(character.isdigit() or character == "_" for character in word)
        or any(character.isupper() for character in word[1:])
        or (index > 0 and word[0].isupper() and not re.fullmatch(r"I('\w+)?", word))
    )


def _names_something(words: Sequence[str]) -> bool:
    return any(is_name(index, word) for index, word in enumerate(words))
