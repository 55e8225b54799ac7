"""The store: opens the database file and ties its tables together where one act touches many.

Knows no rule of learning: what to record is decided by the callers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shammah.errors import StorageError
from shammah.records import (
    Active,
    Example,
    ExampleStatus,
    Feedback,
    Job,
    JobState,
    Judgement,
    Level,
    Message,
    Turn,
    Version,
)
from shammah.store.connection import Connection
from shammah.store.due_times import DueTimes
from shammah.store.erasure import Erasure
from shammah.store.events import Events
from shammah.store.examples import Examples
from shammah.store.feedback import FeedbackTable
from shammah.store.jobs import Jobs
from shammah.store.loaded import Loaded
from shammah.store.migrations import migrate
from shammah.store.pointer import Pointer
from shammah.store.sessions import Sessions
from shammah.store.tunings import Tunings
from shammah.store.turns import Turns
from shammah.store.twins import Twins
from shammah.store.uploads import Uploads
from shammah.store.verdicts import Verdicts
from shammah.store.versions import Versions
from shammah.store.votes import VotesTable

#: Reasons: a reader never blocks the writer; what is acknowledged survives a power cut; what is
#: overwritten does not stay readable in free pages, nor does a rebuilt file in another folder.
_SETTINGS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = ON",
    "PRAGMA temp_store = MEMORY",
)

#: A row names only rows that exist. Set after migrating, for a table that is made anew has to go
#: while others name it.
_REFERENCES_HOLD = "PRAGMA foreign_keys = ON"


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Store:
    """Every table of the database, one attribute each."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.turns = Turns(connection)
        self.sessions = Sessions(connection)
        self.feedback = FeedbackTable(connection)
        self.examples = Examples(connection)
        self.twins = Twins(connection)
        self.jobs = Jobs(connection)
        self.events = Events(connection)
        self.versions = Versions(connection)
        self.loaded = Loaded(connection)
        self.verdicts = Verdicts(connection)
        self.pointer = Pointer(connection)
        self.votes = VotesTable(connection)
        self.uploads = Uploads(connection)
        self.tunings = Tunings(connection, self.jobs)
        self.due_times = DueTimes(connection)
        self.erasure = Erasure(connection, self.examples, self.uploads, self.tunings)

    @classmethod
    def open(cls, path: Path, clock: Callable[[], datetime] = _utc_now) -> Store:
        """The store in the file `path`, made (mode 0600) or migrated where needed.

        Raises:
            StorageError: not writable, not a database, damaged, or from a newer program.
        """
        _make_private(path)
        connection = Connection(path, clock)
        try:
            with connection.file_errors():
                for setting in _SETTINGS:
                    connection.database.execute(setting).fetchall()
                migrate(connection.database, path)
                connection.database.execute(_REFERENCES_HOLD)
        except BaseException:
            connection.close()
            raise
        return cls(connection)

    def close(self) -> None:
        self._connection.close()

    def copy_to(self, path: Path) -> None:
        """Write a consistent copy of what is committed now, for the user alone.

        May be called from any thread: it reads over a connection of its own, which in WAL mode no
        writer waits for.
        """
        _make_private(path)
        self._connection.copy_to(path)

    def transaction(self) -> AbstractContextManager[None]:
        """All writes of the block or none; blocks nest, and the outermost one makes it durable."""
        return self._connection.transaction()

    def record_turn(self, turn: Turn, session_id: int | None) -> None:
        """Record an answer, in its session if it has one; nothing if that was deleted meanwhile."""
        with self.transaction():
            if session_id is None:
                self.turns.add(turn)
            elif self.sessions.knows(session_id):
                self.turns.add(turn)
                self.sessions.add_turn(session_id, turn.id)

    def record_feedback(
        self,
        turn_id: str,
        level: Level,
        weight: int,
        note: str | None,
        correction: str | None,
        *,
        messages: list[Message],
        status: ExampleStatus,
        target: str | None,
        rejected: str | None,
    ) -> tuple[Feedback, Example]:
        """Record what the user said and the example that follows from it, durably, or neither.

        Args:
            messages: the turn's context as far as the example keeps it, ending with the question.

        Raises:
            NotFound: no such turn.
        """
        with self.transaction():
            self.turns.get(turn_id)
            feedback = self.feedback.add(turn_id, level, weight, note, correction)
            return feedback, self.examples.upsert(feedback, messages, status, target, rejected)

    def take(self, examples: Mapping[int, Example]) -> list[tuple[Example, bool]]:
        """Make lines of an upload into examples, durably, all or none.

        Args:
            examples: what each line teaches, by the line's id.

        Returns:
            What is stored of each line that is still there, and whether it is new. A line that was
            made into an example before stays with that one, whatever the user made of it since.
        """
        with self.transaction():
            there = self.uploads.made_into(examples.keys())
            fresh = [number for number, example_id in there.items() if example_id is None]
            added = self.examples.add_unknown(examples[number] for number in fresh)
            self.uploads.link(
                {number: example.id for number, (example, _) in zip(fresh, added, strict=True)}
            )
            before = [self.examples.get(taken) for taken in there.values() if taken is not None]
            return [*((example, False) for example in before), *added]

    def promote(
        self,
        version: Version,
        taught: Mapping[int, str],
        judgements: Sequence[Judgement],
        inherited: Collection[int] = (),
    ) -> Job:
        """Record the version, what it was taught and its verdicts, end its job, move the pointer.

        Args:
            taught: the content hash of every example that was trained on, by example id.
            inherited: those of them that only earlier versions' lessons trained on.

        Raises:
            Conflict: the job has ended in the meantime; nothing is recorded.
        """
        with self.transaction():
            self.jobs.require_unfinished(version.job_id)
            self.versions.add(version, taught, inherited)
            self.verdicts.add(version.job_id, judgements)
            self.pointer.move(Active(base=version.base, version=version.number))
            return self.jobs.update(version.job_id, state=JobState.PROMOTED, report=version.report)

    def settle_twins(self, first_id: int, second_id: int, holds_id: int | None) -> None:
        """Record the user's word on two examples that ask the same.

        Args:
            holds_id: the one that holds, the other is kept as history; None where both hold.

        Raises:
            NotFound: no such two wait for a word.
        """
        with self.transaction():
            self.twins.settle(first_id, second_id)
            if holds_id is not None:
                other_id = second_id if holds_id == first_id else first_id
                self.examples.supersede(other_id, holds_id)

    def reject(self, job_id: int, report: dict[str, Any], judgements: Sequence[Judgement]) -> Job:
        """End the job without a version; the pointer stays.

        Raises:
            Conflict: the job has ended in the meantime; nothing is recorded.
        """
        with self.transaction():
            self.jobs.require_unfinished(job_id)
            self.verdicts.add(job_id, judgements)
            return self.jobs.update(job_id, state=JobState.REJECTED, report=report)

    def delete_version(self, number: int) -> None:
        """Remove a version, what it was taught, and every step of the pointer that led to it.

        Raises:
            NotFound: no such version.
            Conflict: it is active.
        """
        with self.transaction():
            version = self.versions.get(number)
            self.pointer.skip(Active(version.base, number))
            self.loaded.remove(f"version-{number}")
            self.versions.delete(number)

    def require_whole(self) -> None:
        """Look at every page, in a tenth of the time that `integrity_check` takes.

        Raises:
            StorageError: one is damaged. What is written after that could damage more.
        """
        try:
            [first, *_] = self._connection.rows("PRAGMA quick_check(1)")
            found = first["quick_check"]
        except StorageError as error:  # damaged beyond what the check itself can read
            found = error.message
        if found != "ok":
            path = self._connection.path
            raise StorageError(
                f"the database {path} is damaged: {' '.join(found.split())}",
                hint="'shammah restore FILE --force' puts a backup in its place; to save what can "
                "be read: "
                f"sqlite3 {path} .recover | sqlite3 saved.db, and put saved.db in its place "
                f"(move {path.name}-wal and {path.name}-shm away)",
            )

    def prune_version(self, number: int) -> None:
        """Record that a version's files are gone; no rollback leads to it any more.

        Raises:
            NotFound: no such version.
            Conflict: it is active.
        """
        with self.transaction():
            version = self.versions.get(number)
            self.pointer.skip(Active(version.base, number))
            self.versions.mark_pruned(number)

    def integrity_check(self) -> list[str]:
        """What is wrong inside the file; empty when all is well. Reads all of it."""
        try:
            found = self._connection.rows("PRAGMA integrity_check")
            broken = self._connection.rows("PRAGMA foreign_key_check")
        except StorageError as error:  # damaged beyond what the check itself can read
            return [error.message]
        problems = [row["integrity_check"] for row in found if row["integrity_check"] != "ok"]
        return problems + [
            f"a row of {one['table']} names missing {one['parent']}" for one in broken
        ]


def _make_private(path: Path) -> None:
    """Make sure the file exists and is only the user's; SQLite's own files follow its mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror}",
            hint="make it writable, or set SHAMMAH_HOME to another folder",
        ) from error
