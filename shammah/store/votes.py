"""The table of votes: which of two versions the user found better, blindly. Knows no question."""

from __future__ import annotations

from shammah.records import Active, Preference, Votes
from shammah.store.connection import Connection


class VotesTable:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, first: Active, second: Active, better: Preference) -> None:
        """Record one vote. Texts are not kept: a forgotten example leaves none behind here."""
        row = {
            "first_base": first.base,
            "first_version": first.version,
            "second_base": second.base,
            "second_version": second.version,
            "better": better.value,
            "voted_at": self._connection.now(),
        }
        with self._connection.transaction():
            self._connection.insert("votes", row)

    def of(self, version: Active) -> Votes:
        """How the version did against all others."""
        [row] = self._connection.rows(
            """
            SELECT count(*) FILTER (WHERE better = mine) AS won,
                   count(*) FILTER (WHERE better <> mine AND better <> 'tie') AS lost,
                   count(*) FILTER (WHERE better = 'tie') AS tied
            FROM (
                SELECT better, 'first' AS mine FROM votes
                WHERE first_base = ? AND first_version = ?
                UNION ALL
                SELECT better, 'second' FROM votes
                WHERE second_base = ? AND second_version = ?
            )
            """,
            version.base,
            version.version,
            version.base,
            version.version,
        )
        return Votes(**row)
