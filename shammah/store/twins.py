"""The table of twins: pairs of examples that ask the same. Knows no rule for what is the same."""

from __future__ import annotations

from collections.abc import Iterable

from shammah.errors import NotFound
from shammah.store.connection import Connection

#: Pairs of ready examples on which the user has not said a word.
_OPEN = """
    FROM twins
    JOIN examples AS first ON first.id = first_id AND first.status = 'ready'
    JOIN examples AS second ON second.id = second_id AND second.status = 'ready'
    WHERE settled_at IS NULL
"""


class Twins:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Record pairs of example ids; those that are known stay as they are."""
        known = {
            (row["first_id"], row["second_id"])
            for row in self._connection.rows("SELECT first_id, second_id FROM twins")
        }
        now = self._connection.now()
        with self._connection.transaction():
            self._connection.insert_all(
                "twins",
                [
                    {"first_id": first, "second_id": second, "found_at": now}
                    for first, second in sorted({_ordered(pair) for pair in pairs} - known)
                ],
            )

    def open(self) -> list[tuple[int, int]]:
        """Pairs that wait for the user's word, oldest first; both examples are ready."""
        rows = self._connection.rows(
            f"SELECT first_id, second_id {_OPEN} ORDER BY found_at, first_id, second_id"
        )
        return [(row["first_id"], row["second_id"]) for row in rows]

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
