"""The table of jobs: each attempt to make a better version. Knows no stage and no process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TypedDict, Unpack

from shammah.errors import Conflict, NotFound
from shammah.records import (
    WORKING_STATES,
    Cause,
    Job,
    JobState,
    Mode,
    PauseReason,
    Preset,
    Tried,
)
from shammah.store.connection import Connection, to_json
from shammah.store.examples import NEWEST_CHANGE


class JobChanges(TypedDict, total=False):
    """What may change in a job; a key that is absent stays as it is."""

    base: str
    state: JobState
    attempt: int
    progress: dict[str, Any]
    paused_for: PauseReason | None
    tried: list[Tried]
    report: dict[str, Any] | None
    error: str | None
    hint: str | None
    cause: Cause
    recipe: dict[str, Any]
    estimate: dict[str, Any]
    took: dict[str, Any]


class Jobs:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(
        self,
        base: str,
        mode: Mode,
        cause: Cause = Cause.USER,
        preset: Preset = "standard",
        options: Mapping[str, Any] | None = None,
    ) -> Job:
        """A new job, queued."""
        row = {
            "base": base,
            "mode": mode.value,
            "state": JobState.QUEUED.value,
            "attempt": 1,
            "cause": cause.value,
            "preset": preset,
            "options": to_json(dict(options or {})),
            "created_at": self._connection.now(),
            "progress": "{}",
        }
        with self._connection.transaction():
            return self.get(self._connection.insert("jobs", row))

    def get(self, job_id: int) -> Job:
        """Raises NotFound."""
        row = self._connection.row("SELECT * FROM jobs WHERE id = ?", job_id)
        if row is None:
            raise NotFound(f"no job {job_id}", hint="'shammah jobs list' shows them")
        return _job(row)

    def counts(self) -> dict[JobState, int]:
        """How many there are in every state that occurs."""
        rows = self._connection.rows("SELECT state, count(*) AS number FROM jobs GROUP BY state")
        return {JobState(row["state"]): row["number"] for row in rows}

    def unfinished(self) -> list[Job]:
        """Oldest first."""
        rows = self._connection.rows("SELECT * FROM jobs WHERE finished_at IS NULL ORDER BY id")
        return [_job(row) for row in rows]

    def untold(self) -> list[Job]:
        """Ended ones of whose end the user was not told, oldest first; who cancels a job knows."""
        rows = self._connection.rows(
            "SELECT * FROM jobs WHERE finished_at IS NOT NULL AND told_at IS NULL AND state != ? "
            "ORDER BY id",
            JobState.CANCELLED.value,
        )
        return [_job(row) for row in rows]

    def tell(self, job_id: int) -> Job:
        """The user was told how the job ended; told again, the first time stays.

        Raises:
            NotFound: no such job.
            Conflict: it has not ended.
        """
        with self._connection.transaction():
            job = self.get(job_id)
            if not job.state.is_final:
                raise Conflict(f"job {job_id} has not ended: it is {job.state}")
            self._connection.update(
                "jobs", job_id, {"told_at": job.told_at or self._connection.now()}
            )
            return self.get(job_id)

    def last_finished(self) -> Job | None:
        row = self._connection.row(
            "SELECT * FROM jobs WHERE finished_at IS NOT NULL "
            "ORDER BY finished_at DESC, id DESC LIMIT 1"
        )
        return _job(row) if row else None

    def tried_change(self, base: str) -> int:
        """The newest change of an example (`Examples.count_fresh`) when the last lesson on the base
        that has ended was begun; 0 before the first."""
        return int(
            self._connection.value(
                "SELECT coalesce(max(tried_change), 0) AS number FROM jobs "
                "WHERE finished_at IS NOT NULL AND base = ?",
                base,
            )
        )

    def has_finished_after(self, job_id: int, base: str, mode: Mode) -> bool:
        """Whether a later job of this kind has ended."""
        later = self._connection.value(
            "SELECT count(*) AS number FROM jobs "
            "WHERE finished_at IS NOT NULL AND id > ? AND base = ? AND mode = ?",
            job_id,
            base,
            mode.value,
        )
        return bool(later)

    def update(self, job_id: int, **changes: Unpack[JobChanges]) -> Job:
        """Change a job; times and stage follow from states and progress.

        Raises:
            NotFound: no such job.
            Conflict: the state is to change, but the job has ended.
        """
        with self._connection.transaction():
            row = _changed_columns(changes)
            if "state" in changes:
                row |= self._times(self.require_unfinished(job_id), changes["state"])
            if "progress" in changes or changes.get("state") in WORKING_STATES:
                row["heartbeat_at"] = self._connection.now()
            if row:
                self._connection.update("jobs", job_id, row)
            return self.get(job_id)

    def require_unfinished(self, job_id: int) -> Job:
        """The job, unless it has ended: a cancelled job promotes nothing.

        Raises:
            NotFound: no such job.
            Conflict: it has ended.
        """
        job = self.get(job_id)
        if job.state.is_final:
            raise Conflict(
                f"job {job_id} has already ended as {job.state}",
                hint="queue a new one with 'shammah train'",
            )
        return job

    def allocate_version(self, job_id: int) -> int:
        """The version number that this job builds: never used before, the same when asked again.

        Jobs are never deleted, so their numbers stay known when a version is gone.
        """
        with self._connection.transaction():
            number = self.get(job_id).version
            if number is None:
                number = self._connection.value(
                    "SELECT coalesce(max(version), 0) + 1 AS number FROM jobs"
                )
                self._connection.update("jobs", job_id, {"version": number})
            return int(number)

    def list(self, limit: int = -1) -> list[Job]:
        """Newest first; all of them with a limit below 0."""
        sql = "SELECT * FROM jobs ORDER BY id DESC LIMIT ?"
        return [_job(row) for row in self._connection.rows(sql, limit)]

    def _times(self, job: Job, state: JobState) -> dict[str, Any]:
        now = self._connection.now()
        stage = state if state in WORKING_STATES else job.stage
        times = {
            "finished_at": now if state.is_final else None,
            "stage": stage.value if stage else None,
        }
        if job.started_at is None and state not in (JobState.QUEUED, JobState.PAUSED):
            newest = self._connection.value(NEWEST_CHANGE)
            times |= {"started_at": now, "tried_change": newest}
        return times


def _changed_columns(changes: JobChanges) -> dict[str, Any]:
    row: dict[str, Any] = dict(changes)
    if "state" in changes:
        row["state"] = changes["state"].value
    if "tried" in changes:
        row["tried"] = to_json([asdict(item) for item in changes["tried"]])
    if "cause" in changes:
        row["cause"] = changes["cause"].value
    if "progress" in changes:
        row["progress"] = to_json(changes["progress"])
    for name in ("report", "recipe", "estimate", "took"):
        if changes.get(name) is not None:
            row[name] = to_json(changes[name])
    return row


def _job(row: dict[str, Any]) -> Job:
    return Job(
        **row
        | {
            "mode": Mode(row["mode"]),
            "cause": Cause(row["cause"]),
            "state": JobState(row["state"]),
            "progress": json.loads(row["progress"]),
            "options": json.loads(row["options"]),
            "recipe": json.loads(row["recipe"]) if row["recipe"] else None,
            "report": json.loads(row["report"]) if row["report"] else None,
            "estimate": json.loads(row["estimate"]) if row["estimate"] else None,
            "took": json.loads(row["took"]) if row["took"] else None,
            "stage": JobState(row["stage"]) if row["stage"] else None,
            "paused_for": PauseReason(row["paused_for"]) if row["paused_for"] else None,
            "tried": [
                Tried(**item | {"stage": JobState(item["stage"])})
                for item in json.loads(row["tried"])
            ],
        }
    )
