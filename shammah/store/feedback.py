"""The table of feedback: what the user said, row after row. Never edited, only erased."""

from __future__ import annotations

from typing import Any

from shammah.errors import NotFound
from shammah.records import Active, Feedback, Level, Tally
from shammah.store.connection import Connection
from shammah.store.turns import FORGOTTEN

#: Every turn with the newest that was said of it, if anything was.
_TURNS = """
    FROM turns LEFT JOIN feedback
    ON feedback.id = (SELECT max(id) FROM feedback WHERE turn_id = turns.id)
"""


class FeedbackTable:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(
        self,
        turn_id: str,
        level: Level,
        weight: int,
        note: str | None,
        correction: str | None,
    ) -> Feedback:
        """Record one feedback. The turn must exist."""
        row = {
            "turn_id": turn_id,
            "level": level.value,
            "weight": weight,
            "note": note,
            "correction": correction,
            "created_at": self._connection.now(),
        }
        with self._connection.transaction():
            feedback_id = self._connection.insert("feedback", row)
        return _feedback(row | {"id": feedback_id})

    def get(self, feedback_id: int) -> Feedback:
        """Raises NotFound."""
        row = self._connection.row("SELECT * FROM feedback WHERE id = ?", feedback_id)
        if row is None:
            raise NotFound(
                f"no feedback {feedback_id}",
                hint="'shammah examples list' shows what is recorded",
            )
        return _feedback(row)

    def newest(self) -> Feedback | None:
        row = self._connection.row("SELECT * FROM feedback ORDER BY id DESC LIMIT 1")
        return _feedback(row) if row else None

    def tally(self, since: str, until: str | None, only: Active | None = None) -> Tally:
        """Answers from `since` on, before `until`, and how many the newest word calls critical.
        Those that an adapter had a part in say nothing of a version.

        Args:
            only: answers of this version; others can be asked by name beside it.
        """
        of_one = "AND turns.base = ? AND turns.version = ?" if only else ""
        [row] = self._connection.rows(
            f"""
            SELECT count(*) AS answers, count(*) FILTER (WHERE level = 'critical') AS critical
            {_TURNS} WHERE turns.created_at >= ? AND (? IS NULL OR turns.created_at < ?) {of_one}
            AND turns.adapters = '[]'
            """,
            since,
            until,
            until,
            *((only.base, only.version) if only else ()),
        )
        return Tally(**row)

    def disliked(self, active: Active, since: str) -> list[str]:
        """Ids of the version's turns from `since` on whose answers the newest word calls wrong;
        none that an adapter had a part in. A turn whose words were erased tells nothing any more.
        """
        rows = self._connection.rows(
            f"""
            SELECT turns.id {_TURNS}
            WHERE turns.created_at >= ? AND turns.base = ? AND turns.version = ?
            AND level IN ('critical', 'medium') AND finish_reason <> ? AND turns.adapters = '[]'
            ORDER BY sequence
            """,
            since,
            active.base,
            active.version,
            FORGOTTEN,
        )
        return [row["id"] for row in rows]


def _feedback(row: dict[str, Any]) -> Feedback:
    return Feedback(**row | {"level": Level(row["level"])})
