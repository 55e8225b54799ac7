"""Finds the examples that ask the same: compares what has changed with all others, by its keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache

from shammah.feedback.twins import Key, asked, keys, say_the_same, spellings
from shammah.records import Example
from shammah.store.database import Store
from shammah_daemon.database import Database

#: So many are compared in one piece: what else is asked of the store waits for no more than that.
AT_ONCE = 200


async def compare(database: Database) -> None:
    """Record every pair of ready examples that ask the same."""
    while await database.run(_compare_some):
        pass


def same_target(one: Example, other: Example) -> bool:
    return say_the_same(one.target or "", other.target or "")


def _compare_some(store: Store) -> bool:
    """Whether there was anything to compare.

    Of many in the very same words only the nearest ones are paired: what holds of those two is
    compared with the next then.
    """
    questions = store.twins.uncompared(AT_ONCE)
    found = {number: keys(asked(number, messages)) for number, messages in questions.items()}
    words = cache(store.twins.words)
    with store.transaction():
        for number, its_keys in found.items():
            store.twins.index(number, its_keys)
        store.twins.add(
            (number, other)
            for number, its_keys in found.items()
            for other in (
                *store.twins.nearest(number, its_keys[0].rest),
                *_respelled(its_keys[1:], words),
            )
        )
    return bool(found)


def _respelled(keys: list[Key], words: Callable[[int], Mapping[str, int]]) -> Iterator[int]:
    """Of the examples that ask the same with one word spelled otherwise, the first of each
    spelling."""
    for rest, word in keys:
        first = words(rest)
        yield from (first[other] for other in spellings(word, first))
