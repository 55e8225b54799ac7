"""The table of due times: up to when each schedule is dealt with. Knows no clock."""

from __future__ import annotations

from datetime import datetime

from shammah.store.connection import Connection


class DueTimes:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def settled_until(self, name: str, cron: str) -> datetime | None:
        """A wall time. None for a schedule that is new, or was set to another cron expression:
        what would have been due by the new one was not."""
        row = self._connection.row(
            "SELECT settled_until FROM due_times WHERE name = ? AND cron = ?", name, cron
        )
        return datetime.fromisoformat(row["settled_until"]) if row else None

    def settle(self, name: str, cron: str, until: datetime) -> None:
        """Whatever was due until then is dealt with."""
        with self._connection.transaction():
            self._connection.execute(
                "INSERT OR REPLACE INTO due_times (name, cron, settled_until) VALUES (?, ?, ?)",
                name,
                cron,
                until.isoformat(timespec="seconds"),
            )
