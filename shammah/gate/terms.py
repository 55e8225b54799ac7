"""What an answer must contain to hold what was taught; pure text, knows no model.

A taught sentence may come back in other words, so the judge does not compare texts. It looks for
the terms of the target that carry the lesson: those that neither the question nor the grammar
supplies. Names, numbers and identifiers count as *hard*, other words as *soft*.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Share of the hard terms, and of all terms, that an answer must contain. A changed name or number
#: is a wrong answer; a changed ordinary word often is not.
HARD_SHARE = 0.8
TOTAL_SHARE = 0.6

_WORD = re.compile(r"[\w](?:[\w.\-/+#:@]*[\w+#])?")
_SENTENCE_START = re.compile(r"(?:^|[.!?:]\s+)$")

#: English function words. Other languages lose nothing but a stricter count.
_FUNCTION_WORDS = frozenset(
    """
    a about above after again all also always am an and any are as at be because been before
    being below between both but by can could did do does doing done down during each either
    every few for from further get gets given go had has have having he her here hers him his
    how i if in into is it its itself just may me might more most must my no nor not of off on
    once one only or other our ours out over own please same shall she should so some such than
    that the their theirs them then there these they this those through to too under until up
    upon us use used uses using very was we were what when where which while who whom whose why
    will with would you your yours called named
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Terms:
    """The terms of one target."""

    hard: frozenset[str]
    soft: frozenset[str]
    whole: str  # the target itself, normalised: what is compared when there are no terms

    def held_by(self, answer: str) -> bool:
        """Whether `answer` holds what was taught."""
        normal = _normalise(answer)
        if not self.hard and not self.soft:
            return normal.startswith(self.whole)
        hard = sum(_contains(normal, term) for term in self.hard)
        soft = sum(_contains(normal, term) for term in self.soft)
        return (
            hard >= HARD_SHARE * len(self.hard)
            and hard + soft >= TOTAL_SHARE * (len(self.hard) + len(self.soft))
        )  # fmt: skip


def terms(target: str, question: str) -> Terms:
    """The terms that `target` adds to `question`."""
    asked = {_stem(word) for word in _WORD.findall(question.casefold())}
    hard: set[str] = set()
    soft: set[str] = set()
    for match in _WORD.finditer(target):
        word, folded = match[0], match[0].casefold()
        if _stem(folded) in asked or folded in _FUNCTION_WORDS:
            continue
        (hard if _is_hard(word, target[: match.start()]) else soft).add(folded)
    return Terms(frozenset(hard), frozenset(soft), _normalise(target).rstrip(" .!"))


def _is_hard(word: str, before: str) -> bool:
    """A number, an identifier, or a name: capitals inside, or at the start within a sentence."""
    if any(char.isdigit() for char in word) or any(char in "./+#_:@" for char in word):
        return True
    if word[1:] != word[1:].lower():
        return True
    return word[0].isupper() and not _SENTENCE_START.search(before)


def _contains(text: str, term: str) -> bool:
    """`term` as a word of `text`; an ordinary word may be inflected."""
    if term.isalpha():
        return re.search(rf"(?<!\w){re.escape(_stem(term))}", text) is not None
    return re.search(rf"(?<![\w.]){re.escape(term)}(?!\w)", text) is not None


def _stem(word: str) -> str:
    """`word` without the commonest English endings: enough to match maintains with maintained."""
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def _normalise(text: str) -> str:
    return re.sub(r"\s+", " ", text.casefold()).strip()
