"""Examples that ask nearly the same question in the same context: twins.

Twins with the same target are duplicates, all others contradict each other. Compares words, knows
no meaning: a question in other words is no twin. Knows no store.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

from rapidfuzz import fuzz, process

from shammah.records import Message

#: How alike two spellings of one word are, of 100: "colour" and "color" are at 91, "listen" and
#: "listens" at 92, but "Marie" and "Maria" at 80 and "north" and "south" at 60.
SAME_WORD = 84.0

#: A shorter word is another word as soon as one letter differs.
SHORTEST = 4

#: Words without which a question asks the same.
_IDLE_WORDS = frozenset("a an the please hi hello hey so well ok okay thanks".split())  # noqa: SIM905

_JOINT = re.compile(r"(?<=\w)['’\-](?=\w)")  # wi-fi is wifi  # noqa: RUF001
_WORD = re.compile(r"\w+|[^\w\s?.!,;:\"'()\[\]]+")


@dataclass(frozen=True)
class Asked:
    """What an example asks, in the form in which it is compared."""

    example_id: int
    context: tuple[tuple[str, str], ...]  # role and content of every message but the question
    words: tuple[str, ...]


class Key(NamedTuple):
    """What two questions that ask the same have in common, and where they may differ.

    Twins have a `rest` in common, and under it the same word or two spellings of one.
    """

    rest: int  # 64 bits of a hash, signed
    word: str  # the one that is left out of the rest; empty: none is


def asked(example_id: int, messages: Sequence[Message]) -> Asked:
    """The question of `messages`, which end with it."""
    *before, question = messages
    return Asked(
        example_id=example_id,
        context=tuple((message["role"], message["content"].strip()) for message in before),
        words=_words(question["content"]),
    )


def keys(question: Asked) -> list[Key]:
    """The first one is of all words, the others leave out each word that may be spelled otherwise.

    They are stored (`store/twins.py`): where another rule is to hold, a migration compares anew.
    """
    context, words = question.context, question.words
    return [
        Key(_hash(context, words), ""),
        *(
            Key(_hash(context, (index, words[:index], words[index + 1 :])), word)
            for index, word in enumerate(words)
            if _may_be_respelled(word)
        ),
    ]


def spellings(word: str, others: Iterable[str]) -> list[str]:
    """Those of the other words that are `word`, spelled otherwise."""
    if not _may_be_respelled(word):
        return []
    found = process.extract(
        word, list(others), scorer=fuzz.ratio, score_cutoff=SAME_WORD, limit=None
    )
    return [other for other, _, _ in found if other != word and _may_be_respelled(other)]


def twins_of(one: Asked, others: Iterable[Asked]) -> list[int]:
    """The ids of those among `others` that ask what `one` asks."""
    return [
        other.example_id
        for other in others
        if other.example_id != one.example_id and _ask_the_same(one, other)
    ]


def all_twins(questions: Iterable[Asked]) -> list[tuple[int, int]]:
    """Pairs of ids, the lower one first.

    Of many that ask in the very same words, each is paired with the next one only: what holds of
    those two is compared with the third then.
    """
    by_rest: defaultdict[int, defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for question in sorted(questions, key=lambda question: question.example_id):
        for rest, word in keys(question):
            by_rest[rest][word].append(question.example_id)
    pairs: set[tuple[int, int]] = set()
    for by_word in by_rest.values():
        pairs.update(itertools.pairwise(by_word.get("", [])))
        for word in by_word:
            for other in spellings(word, by_word):
                first, second = sorted((by_word[word][0], by_word[other][0]))
                pairs.add((first, second))
    return sorted(pairs)


def say_the_same(one: str, other: str) -> bool:
    """Whether two targets say the same but for capitals, spaces and stops."""
    return _plain(one) == _plain(other)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(" .!")


def _words(text: str) -> tuple[str, ...]:
    words = _WORD.findall(_JOINT.sub("", text.casefold()))
    return tuple(word for word in words if word not in _IDLE_WORDS) or tuple(words)


def _ask_the_same(one: Asked, other: Asked) -> bool:
    if one.context != other.context or len(one.words) != len(other.words):
        return False
    if one.words == other.words:
        return True
    different = [pair for pair in zip(one.words, other.words, strict=True) if pair[0] != pair[1]]
    return len(different) == 1 and _is_respelled(*different[0])


def _is_respelled(one: str, other: str) -> bool:
    return bool(spellings(one, [other]))


def _may_be_respelled(word: str) -> bool:
    """A word of letters: another number or identifier is another question."""
    return word.isalpha() and len(word) >= SHORTEST


def _hash(context: tuple[tuple[str, str], ...], words: tuple[object, ...]) -> int:
    digest = blake2b(repr((context, words)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)
