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


def asked(example_id: int, messages: Sequence[Message]) -> Asked:
    """The question of `messages`, which end with it."""
    *before, question = messages
    return Asked(
        example_id=example_id,
        context=tuple((message["role"], message["content"].strip()) for message in before),
        words=_words(question["content"]),
    )


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
    in_same_words = defaultdict(list)
    in_all_words_but_one: defaultdict[tuple[object, ...], defaultdict[str, list[int]]] = (
        defaultdict(lambda: defaultdict(list))
    )
    for question in sorted(questions, key=lambda question: question.example_id):
        in_same_words[question.context, question.words].append(question.example_id)
    for (context, words), ids in in_same_words.items():
        for index, word in enumerate(words):
            if _may_be_respelled(word):
                rest = (context, index, words[:index], words[index + 1 :])
                in_all_words_but_one[rest][word].append(ids[0])
    pairs = {pair for ids in in_same_words.values() for pair in itertools.pairwise(ids)}
    for by_word in in_all_words_but_one.values():
        for one, other in _respelled(list(by_word)):
            first, second = sorted((by_word[one][0], by_word[other][0]))
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
    return (
        _may_be_respelled(one) and _may_be_respelled(other) and fuzz.ratio(one, other) >= SAME_WORD
    )


def _may_be_respelled(word: str) -> bool:
    """A word of letters: another number or identifier is another question."""
    return word.isalpha() and len(word) >= SHORTEST


def _respelled(words: list[str]) -> list[tuple[str, str]]:
    """The pairs of `words` that are one word in two spellings."""
    return [
        (word, other)
        for word in words
        for other, _, _ in process.extract(
            word, words, scorer=fuzz.ratio, score_cutoff=SAME_WORD, limit=None
        )
        if word < other
    ]
