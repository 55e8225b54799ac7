"""The table of twins, pairs of examples that ask the same, and what they are found by.

Triggers note which examples are to be compared: those that are new or have changed, and those in
the same words as one that has changed. Knows no rule for what is the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from shammah.errors import NotFound
from shammah.records import Message
from shammah.store.connection import Connection

#: Pairs of ready examples on which the user has not said a word.
_OPEN = """
    FROM twins
    JOIN examples AS first ON first.id = first_id AND first.status = 'ready'
    JOIN examples AS second ON second.id = second_id AND second.status = 'ready'
    WHERE settled_at IS NULL
"""

#: The nearest ones among those in the same words, one before and one after an example.
_NEAREST = """
    SELECT max(example_id) AS id FROM asked WHERE rest = ?1 AND word = '' AND example_id < ?2
    UNION ALL
    SELECT min(example_id) FROM asked WHERE rest = ?1 AND word = '' AND example_id > ?2
"""


class Twins:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Record pairs of example ids; those that are known stay as they are."""
        now = self._connection.now()
        with self._connection.transaction():
            for first, second in sorted({_ordered(pair) for pair in pairs}):
                self._connection.execute(
                    "INSERT INTO twins (first_id, second_id, found_at) VALUES (?, ?, ?) "
                    "ON CONFLICT DO NOTHING",
                    first,
                    second,
                    now,
                )

    def uncompared(self, limit: int) -> dict[int, list[Message]]:
        """Ready examples that are still to be compared: messages, which end with the question."""
        rows = self._connection.rows(
            "SELECT id, messages FROM uncompared JOIN examples ON id = example_id "
            "WHERE status = 'ready' ORDER BY id LIMIT ?",
            limit,
        )
        return {row["id"]: json.loads(row["messages"]) for row in rows}

    def index(self, example_id: int, keys: Iterable[tuple[int, str]]) -> None:
        """Let the example be found by its keys, each a rest and a word; it is compared now."""
        with self._connection.transaction():
            for rest, word in keys:
                self._connection.execute(
                    "INSERT INTO asked (rest, word, example_id) VALUES (?, ?, ?) "
                    "ON CONFLICT DO NOTHING",
                    rest,
                    word,
                    example_id,
                )
            self._connection.execute("DELETE FROM uncompared WHERE example_id = ?", example_id)

    def nearest(self, example_id: int, rest: int) -> list[int]:
        """Of those that have all their words in common with the example, the one before it and the
        one after it."""
        rows = self._connection.rows(_NEAREST, rest, example_id)
        return [row["id"] for row in rows if row["id"] is not None]

    def words(self, rest: int) -> dict[str, int]:
        """The words that complete the rest, each with the first example that has it."""
        rows = self._connection.rows(
            "SELECT word, min(example_id) AS first FROM asked WHERE rest = ? GROUP BY word", rest
        )
        return {row["word"]: row["first"] for row in rows}

    def open(self) -> list[tuple[int, int]]:
        """Pairs that wait for the user's word, oldest first; both examples are ready."""
        rows = self._connection.rows(
            f"SELECT first_id, second_id {_OPEN} ORDER BY found_at, first_id, second_id"
        )
        return [(row["first_id"], row["second_id"]) for row in rows]

    def open_of(self, example_id: int) -> list[int]:
        """The other examples of the pairs with this one that wait for the user's word."""
        rows = self._connection.rows(
            f"SELECT first_id + second_id - ?1 AS other {_OPEN} "
            "AND (first_id = ?1 OR second_id = ?1) ORDER BY other",
            example_id,
        )
        return [row["other"] for row in rows]

    def settle(self, first_id: int, second_id: int) -> None:
        """The user has said which of the two holds, or that both do.

        Raises:
            NotFound: no such pair waits.
        """
        pair = _ordered((first_id, second_id))
        with self._connection.transaction():
            if pair not in self.open():
                raise NotFound(
                    f"examples {first_id} and {second_id} do not wait for a decision",
                    hint="'shammah examples review' shows what waits",
                )
            self._connection.execute(
                "UPDATE twins SET settled_at = ? WHERE first_id = ? AND second_id = ?",
                self._connection.now(),
                *pair,
            )


def _ordered(pair: tuple[int, int]) -> tuple[int, int]:
    first, second = pair
    return (first, second) if first < second else (second, first)
