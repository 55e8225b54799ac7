"""The one pointer: which version of which base serves, and what served before. Moves no engine.

Rows are appended; the newest one is where the pointer is. Each names the row that a rollback leads
to, so that a second rollback goes one further back instead of forward again. Rows go only with
their version.
"""

from __future__ import annotations

from typing import Any

from shammah.errors import Conflict, NotFound
from shammah.records import Active
from shammah.store.connection import Connection


class Pointer:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def active(self) -> Active | None:
        """None before the first move."""
        row = self._newest()
        return _active(row) if row else None

    def previous(self) -> Active:
        """What a rollback leads to.

        Raises:
            Conflict: nothing was active before.
        """
        row = self._previous(self._newest())
        if row is None:
            raise Conflict(
                "nothing was active before the present version",
                hint="'shammah versions list' shows what can be promoted",
            )
        return _active(row)

    def moves(self, limit: int) -> list[str]:
        """When the pointer was moved, newest first."""
        rows = self._connection.rows("SELECT moved_at FROM pointer ORDER BY id DESC LIMIT ?", limit)
        return [row["moved_at"] for row in rows]

    def move(self, active: Active) -> None:
        """Point to `active`; to point to `previous()` is to go one step back.

        Raises:
            NotFound: the base has no such version.
        """
        with self._connection.transaction():
            self._require_version(active)
            newest = self._newest()
            if newest and _active(newest) == active:
                return
            previous = self._previous(newest)
            if previous and _active(previous) == active:
                origin = previous["previous_id"]
            else:
                origin = newest["id"] if newest else None
            self._connection.insert(
                "pointer",
                {
                    "base": active.base,
                    "version": active.version,
                    "previous_id": origin,
                    "moved_at": self._connection.now(),
                },
            )

    def require_inactive(self, one: Active) -> None:
        """Raises Conflict if the pointer is there."""
        if self.active() == one:
            raise Conflict(
                f"version {one.version} is active",
                hint="serve another one first: 'shammah versions rollback'",
            )

    def skip(self, gone: Active) -> None:
        """Take every step to `gone` out, so that no rollback leads there.

        Raises:
            Conflict: it is active.
        """
        with self._connection.transaction():
            self.require_inactive(gone)
            for row in self._connection.rows(
                "SELECT * FROM pointer WHERE base = ? AND version = ? ORDER BY id DESC",
                gone.base,
                gone.version,
            ):
                self._connection.execute(
                    "UPDATE pointer SET previous_id = ? WHERE previous_id = ?",
                    row["previous_id"],
                    row["id"],
                )
                self._connection.execute("DELETE FROM pointer WHERE id = ?", row["id"])

    def _require_version(self, active: Active) -> None:
        if active.version == 0:
            return
        row = self._connection.row(
            "SELECT 1 FROM versions WHERE number = ? AND base = ?",
            active.version,
            active.base,
        )
        if row is None:
            raise NotFound(
                f"no version {active.version} of {active.base}",
                hint="'shammah versions list' shows them",
            )

    def _newest(self) -> dict[str, Any] | None:
        return self._connection.row("SELECT * FROM pointer ORDER BY id DESC LIMIT 1")

    def _previous(self, row: dict[str, Any] | None) -> dict[str, Any] | None:
        """The row before that points elsewhere: what was between may be gone."""
        found = row
        while found and row and _active(found) == _active(row):
            found = self._connection.row("SELECT * FROM pointer WHERE id = ?", found["previous_id"])
        return found


def _active(row: dict[str, Any]) -> Active:
    return Active(base=row["base"], version=row["version"])
