"""The table of job events, appended and read in the order of their ids. Knows no subscriber."""

from __future__ import annotations

import json
from typing import Any

from shammah.records import JobEvent
from shammah.store.connection import Connection, to_json


class Events:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def append(self, job_id: int, kind: str, data: dict[str, Any]) -> JobEvent:
        """Record that something happened to a job, which must exist."""
        at = self._connection.now()
        row = {"job_id": job_id, "at": at, "kind": kind, "data": to_json(data)}
        with self._connection.transaction():
            event_id = self._connection.insert("job_events", row)
        return JobEvent(id=event_id, job_id=job_id, at=at, kind=kind, data=data)

    def after(self, event_id: int, job_id: int | None = None) -> list[JobEvent]:
        """Events with greater ids, oldest first, of one job or of all."""
        if job_id is None:
            rows = self._connection.rows(
                "SELECT * FROM job_events WHERE id > ? ORDER BY id", event_id
            )
        else:
            rows = self._connection.rows(
                "SELECT * FROM job_events WHERE job_id = ? AND id > ? ORDER BY id",
                job_id,
                event_id,
            )
        return [_event(row) for row in rows]

    def thin_out(self, job_id: int) -> None:
        """Leave a job its changes of state, and the newest progress of each stage and each step."""
        with self._connection.transaction():
            self._connection.execute(
                "DELETE FROM job_events WHERE job_id = ? AND kind = 'progress' AND id NOT IN ("
                "SELECT max(id) FROM job_events WHERE job_id = ? AND kind = 'progress' "
                "GROUP BY json_extract(data, '$.stage'), json_extract(data, '$.step'))",
                job_id,
                job_id,
            )

    def telling(self, job_id: int, before: int | None, limit: int) -> list[JobEvent]:
        """A job's changes of state and its training steps, newest first, of ids below `before`."""
        rows = self._connection.rows(
            "SELECT * FROM job_events WHERE job_id = ? AND (? IS NULL OR id < ?) "
            "AND (kind = 'state' OR json_extract(data, '$.step') IS NOT NULL) "
            "ORDER BY id DESC LIMIT ?",
            job_id,
            before,
            before,
            limit,
        )
        return [_event(row) for row in rows]

    def newest_id(self) -> int:
        """0 before the first event."""
        return int(self._connection.value("SELECT coalesce(max(id), 0) AS id FROM job_events"))


def _event(row: dict[str, Any]) -> JobEvent:
    return JobEvent(**row | {"data": json.loads(row["data"])})
