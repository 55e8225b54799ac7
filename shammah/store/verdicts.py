"""The table of verdicts: what each gate found for each example. Knows no gate."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from shammah.records import Judgement, Verdict
from shammah.store.connection import Connection, among, to_json


class Verdicts:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, job_id: int, judgements: Sequence[Judgement]) -> None:
        """Record what the gate of one job found."""
        with self._connection.transaction():
            self._connection.insert_all(
                "verdicts",
                [
                    {
                        "example_id": judgement.example_id,
                        "job_id": job_id,
                        "verdict": judgement.verdict.value,
                        "details": to_json(judgement.details),
                    }
                    for judgement in judgements
                ],
            )

    def of_job(self, job_id: int) -> list[Judgement]:
        """In the order of their examples."""
        rows = self._connection.rows(
            "SELECT * FROM verdicts WHERE job_id = ? ORDER BY example_id", job_id
        )
        return [_judgement(row) for row in rows]

    def newest(self, example_id: int) -> Judgement | None:
        """Of the newest gate that judged the example."""
        row = self._connection.row(
            "SELECT * FROM verdicts WHERE example_id = ? ORDER BY job_id DESC LIMIT 1",
            example_id,
        )
        return _judgement(row) if row else None

    def newest_of(self, ids: Collection[int] | None = None) -> dict[int, Verdict]:
        """By example id, the verdict of the newest gate that judged it; of all, or of these."""
        condition, parameters = among("example_id", ids)
        rows = self._connection.rows(
            "SELECT example_id, verdict, max(job_id) FROM verdicts "
            f"WHERE {condition} GROUP BY example_id",
            *parameters,
        )
        return {row["example_id"]: Verdict(row["verdict"]) for row in rows}


def _judgement(row: dict[str, Any]) -> Judgement:
    return Judgement(
        example_id=row["example_id"],
        verdict=Verdict(row["verdict"]),
        details=json.loads(row["details"]),
    )
