"""Whether a question asks again what an example was corrected on, told by its words; in doubt, no.

Knows no model: embeddings of the small base put "how long do we keep backups" nearer to "how long
do we keep logs" than a paraphrase of it (docs/learning.md). The word lists are English; in another
language only a question of the same words matches.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import snowballstemmer

from shammah.feedback.context import is_name
from shammah.feedback.phrasings import LONG_WORDS, SMALL_WORDS
from shammah.records import Example

#: Share of the example's words that a question must contain.
LEAST_COVERAGE = 0.5

#: Pieces of evidence for a match: shared words, the kind of answer, "we", "name", "new".
LEAST_EVIDENCE = 2
#: The same when a single word of several is shared.
LEAST_EVIDENCE_ON_ONE_WORD = 3

#: Words in which a question is looked for; more of them would find no more.
_SEARCHED_WORDS = 30

_WORD = re.compile(r"[^\W_](?:[\w.+#/-]*[\w+#])?")
_POSSESSIVE = re.compile(r"(?:'|\u2019)s\b")
_STEMMER = snowballstemmer.stemmer("english")

#: Words that say what kind of answer is wanted, besides "how long" and its like.
_KINDS = {
    word: kind
    for kind, words in {
        "who": "who whom whose person people team colleague",
        "when": "when day date time schedule",
        "where": "where place location",
        "duration": "length duration period",
        "why": "why reason",
        "way": "way procedure",
    }.items()
    for word in words.split()
}
_HOW_KINDS = (
    ("duration", r"\bhow long\b|\bhow many (?:second|minute|hour|day|week|month|year)s\b"),
    ("amount", r"\bhow (?:many|much)\b"),
    ("way", r"\bhow (?:do|can|could|should|to|must)\b|\bwhat (?:can|should|must) (?:i|we) do\b"),
)

#: Words without a subject of their own, beside those that phrasings may lose.
_LIGHT_WORDS = frozenset(
    """
    about act after again ask base been being between charge currently during exactly find follow
    found give go happen hold just keep kept kind know let like look need number off one out own put
    responsible rule say scheme so some sort style then thing type very want while
    """.split()  # noqa: SIM905
)

#: Words that mean the same to a question; the stems of irregular forms.
_SAME = {"call": "name", "called": "name", "calls": "name", "hidden": "hide"}

#: Words that count when both questions have them, and whose absence says nothing.
_MARKS = {**dict.fromkeys(("we", "our", "ours", "us", "here"), "we"), "name": "name", "new": "new"}

_NEGATIONS = frozenset("no not never don doesn didn isn aren shouldn mustn cannot can't".split())  # noqa: SIM905
_HEAD = re.compile(r"\b(?:what|which) (\w+)")
_DEFINES = re.compile(
    r"(?:what|who) (?:is|are|was|were) an?\b|.*\b(?:define|meaning|means?|difference)\b"
)


@dataclass(frozen=True)
class Question:
    """What the words of a question say."""

    words: tuple[str, ...]  # all of them, without case
    subject: frozenset[str]  # stems of those that say what it is about
    names: frozenset[str]  # of these, names, numbers and identifiers
    kinds: frozenset[str]  # of answer: who, when, where, ...
    marks: frozenset[str]
    head: str | None  # in the subject, the word after what or which: what is asked for
    defines: bool  # asks what a word means
    negated: bool


def search_words(question: str) -> list[str]:
    """The words that a matching example shares at least one of; none for a very long question."""
    words = _words(question)
    if len(words) > LONG_WORDS:
        return []
    meaning = [word for word in words if _stem(word) in parse(question).subject]
    return list(dict.fromkeys(meaning or words))[:_SEARCHED_WORDS]


def best_match(question: str, examples: Iterable[Example]) -> Example | None:
    """The example that `question` asks again, the newest of those with the same words.

    None when there is none, or when two match equally well and ask for different things.
    """
    found = [
        (strength, example.id, example)
        for example in examples
        if _stands_alone(example) and (strength := match(question, example)) > 0
    ]
    if not found:
        return None
    found.sort(key=lambda item: item[:2], reverse=True)
    best, *others = found
    rivals = [example for strength, _, example in others if strength == best[0]]
    asked = parse(best[2].question).subject
    if any(parse(rival.question).subject != asked for rival in rivals):
        return None
    return best[2]


def match(question: str, example: Example) -> float:
    """How well `question` asks what `example` was corrected on; 0 where it probably does not."""
    asked, known = parse(question), parse(example.question)
    if asked.words == known.words:
        return float("inf")
    if max(len(asked.words), len(known.words)) > LONG_WORDS:
        return 0.0
    shared = asked.subject & known.subject
    if not shared or asked.subject - known.subject - parse(example.target or "").subject:
        return 0.0  # it is about something else besides
    if not _same_form(asked, known):
        return 0.0
    coverage = len(shared) / len(known.subject)
    if not _same_kind(asked, known, whole=coverage == 1):
        return 0.0
    evidence = (
        len(shared) + len(asked.kinds & known.kinds) + len(asked.marks & known.marks)
    )  # fmt: skip
    one_of_several = len(shared) == 1 and coverage < 1
    least = LEAST_EVIDENCE_ON_ONE_WORD if one_of_several else LEAST_EVIDENCE
    return coverage + evidence if coverage >= LEAST_COVERAGE and evidence >= least else 0.0


@lru_cache(maxsize=4096)
def parse(text: str) -> Question:
    """What the words of `text` say."""
    words = _words(text)
    joined = " ".join(words)
    stems = {word: _stem(word) for word in words}
    subject = {stem for word, stem in stems.items() if not _is_small(word, stem)}
    cased = _WORD.findall(_POSSESSIVE.sub("", text))
    head = _HEAD.search(joined)
    kinds = {_KINDS[word] for word in words if word in _KINDS}
    how = next((kind for kind, pattern in _HOW_KINDS if re.search(pattern, joined)), None)
    return Question(
        words=tuple(words),
        subject=frozenset(subject),
        names=frozenset(
            stems[word.casefold()] for index, word in enumerate(cased) if is_name(index, word)
        )
        & subject,
        kinds=frozenset(kinds | ({how} if how else set())),
        marks=frozenset(_MARKS[one] for one in {*words, *stems.values()} if one in _MARKS),
        head=_stem(head[1]) if head and _stem(head[1]) in subject else None,
        defines=_DEFINES.match(joined) is not None,
        negated=not _NEGATIONS.isdisjoint(words),
    )


def _same_form(asked: Question, known: Question) -> bool:
    return (
        asked.defines == known.defines
        and asked.negated == known.negated
        and known.names <= asked.subject
        and (known.head is None or known.head in asked.subject)
    )


def _same_kind(asked: Question, known: Question, *, whole: bool) -> bool:
    """Whether both want the same kind of answer.

    Args:
        whole: every word of the example's subject is in the question; "the length of" then stands
            for "how long".
    """
    if asked.kinds and known.kinds:
        return not asked.kinds.isdisjoint(known.kinds)
    return asked.kinds == known.kinds or whole


def _stands_alone(example: Example) -> bool:
    """Whether its question was understood without what came before it."""
    return all(message["role"] != "assistant" for message in example.messages)


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(_POSSESSIVE.sub("", text))]


@lru_cache(maxsize=16384)
def _stem(word: str) -> str:
    stem: str = _STEMMER.stemWord(_SAME.get(word, word))
    return stem


def _is_small(word: str, stem: str) -> bool:
    return word in _KINDS or stem == "name" or not {word, stem}.isdisjoint(_SMALL)


def _stems(words: Iterable[str]) -> frozenset[str]:
    return frozenset(map(_stem, words))


_SMALL = SMALL_WORDS | _LIGHT_WORDS | _stems(SMALL_WORDS | _LIGHT_WORDS)
