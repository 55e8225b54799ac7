"""The table of tunings: what clients asked of jobs in OpenAI's words. Knows no HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from shammah.records import FINAL_STATES, Job, Tuning
from shammah.store.connection import Connection, to_json
from shammah.store.jobs import Jobs

_ENDED = ", ".join(f"'{state.value}'" for state in sorted(FINAL_STATES))


class Tunings:
    def __init__(self, connection: Connection, jobs: Jobs) -> None:
        self._connection = connection
        self._jobs = jobs

    def add(self, tuning: Tuning) -> Tuning:
        row = asdict(tuning) | {
            "metadata": None if tuning.metadata is None else to_json(tuning.metadata),
            "created_at": self._connection.now(),
        }
        with self._connection.transaction():
            self._connection.insert("tunings", row)
        return _tuning(row)

    def of_job(self, job_id: int) -> Tuning | None:
        """The newest that was asked of a job: one lesson may serve more than one request."""
        row = self._connection.row(
            "SELECT * FROM tunings WHERE job_id = ? ORDER BY id DESC LIMIT 1", job_id
        )
        return _tuning(row) if row else None

    def by_key(self, idempotency_key: str) -> Tuning | None:
        row = self._connection.row(
            "SELECT * FROM tunings WHERE idempotency_key = ?", idempotency_key
        )
        return _tuning(row) if row else None

    def repeated(self, request_sha256: str, since: str | None) -> Tuning | None:
        """The newest of the same request whose job has not ended, or that was asked after `since`;
        None: whenever that was, only if its job has not ended."""
        row = self._connection.row(
            "SELECT tunings.* FROM tunings JOIN jobs ON jobs.id = job_id WHERE request_sha256 = ? "
            f"AND (state NOT IN ({_ENDED}) OR tunings.created_at > ?) "
            "ORDER BY tunings.id DESC LIMIT 1",
            request_sha256,
            since,
        )
        return _tuning(row) if row else None

    def page(
        self, before: int | None, limit: int, metadata: Mapping[str, str]
    ) -> list[tuple[Job, Tuning | None]]:
        """Jobs of ids below `before`, newest first, each with the newest that was asked of it.

        Args:
            metadata: what that must have been labelled with.
        """
        labelled = "".join(
            " AND ? IN (SELECT value FROM json_each(tunings.metadata) WHERE key = ?)"
            for _ in metadata
        )
        rows = self._connection.rows(
            "SELECT jobs.id FROM jobs LEFT JOIN tunings "
            "ON tunings.id = (SELECT max(id) FROM tunings WHERE job_id = jobs.id) "
            f"WHERE (? IS NULL OR jobs.id < ?){labelled} ORDER BY jobs.id DESC LIMIT ?",
            before,
            before,
            *(part for key, value in metadata.items() for part in (value, key)),
            limit,
        )
        return [(self._jobs.get(row["id"]), self.of_job(row["id"])) for row in rows]

    def cut(self, holds: Callable[[str], bool]) -> None:
        """Remove what clients called a job where `holds` says so.

        The hash of the request and its key go with it: the hash would tell of the words.
        """
        for row in self._connection.rows("SELECT * FROM tunings"):
            labels = json.loads(row["metadata"] or "{}")
            said = [row["suffix"] or "", row["idempotency_key"] or "", *labels, *labels.values()]
            if any(map(holds, said)):
                self._connection.update(
                    "tunings",
                    row["id"],
                    {
                        "suffix": None,
                        "metadata": None,
                        "request_sha256": "",
                        "idempotency_key": None,
                    },
                )


def _tuning(row: dict[str, Any]) -> Tuning:
    metadata = row["metadata"]
    fields = {key: value for key, value in row.items() if key != "id"}
    return Tuning(**fields | {"metadata": None if metadata is None else json.loads(metadata)})
