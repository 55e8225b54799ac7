"""The table of examples: what training uses, one for each turn, or from a file. Knows no rule for
targets."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import asdict, replace
from typing import Any

from shammah.errors import NotFound
from shammah.records import Active, Example, ExampleStatus, Feedback, Level, Message
from shammah.store.connection import Connection, to_json

_WAITING = """
    FROM examples
    LEFT JOIN taught ON taught.version = ? AND taught.example_id = examples.id
    WHERE status = 'ready' AND taught.content_hash IS NOT examples.content_hash
"""


#: Named one by one, so that SQLite takes the index.
_NOT_READY = [status.value for status in ExampleStatus if status is not ExampleStatus.READY]

#: The planner would read every ready example.
_COUNT_FRESH = """
    SELECT count(*) FROM examples INDEXED BY examples_by_change
    LEFT JOIN taught ON taught.version = ? AND taught.example_id = examples.id
    WHERE change > ? AND CASE status
        WHEN 'ready' THEN taught.content_hash IS NOT examples.content_hash
        ELSE taught.example_id IS NOT NULL
    END
"""

#: Changes of examples are numbered, by triggers: a clock may go back.
NEWEST_CHANGE = "SELECT coalesce(max(change), 0) AS number FROM examples"

#: What a list shows when no status is asked for.
LISTED = (ExampleStatus.DRAFT, ExampleStatus.HELD, ExampleStatus.READY)


#: Above every id.
_NO_ID = 2**63 - 1

#: How many examples that share words with a question are looked up, the best matches first: one
#: that shares fewer than all of these does not ask the same.
_LOOKED_UP = 200

#: Of these the ready ones, without those whose present content the newest version to be judged by
#: them had learned. That version need not be the active one: after a rollback the earlier answers
#: are what the user asked for.
_UNLEARNED = f"""
    SELECT examples.* FROM (
        SELECT rowid AS id, rank FROM questions WHERE questions MATCH ?
        ORDER BY rank LIMIT {_LOOKED_UP}
    ) AS found
    CROSS JOIN examples ON examples.id = found.id
    WHERE examples.status = 'ready' AND 'learned' IS NOT (
        SELECT CASE WHEN taught.content_hash IS examples.content_hash THEN verdicts.verdict END
        FROM verdicts JOIN versions USING (job_id)
        LEFT JOIN taught ON taught.version = versions.number AND taught.example_id = examples.id
        WHERE verdicts.example_id = examples.id AND versions.base = ?
        ORDER BY versions.number DESC LIMIT 1
    )
    ORDER BY found.rank LIMIT ?
"""


class Examples:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def upsert(
        self,
        feedback: Feedback,
        messages: list[Message],
        status: ExampleStatus,
        target: str | None,
        rejected: str | None,
    ) -> Example:
        """Make the example of the feedback's turn, or let the newer feedback decide it anew."""
        now = self._connection.now()
        with self._connection.transaction():
            former = self.of_turn(feedback.turn_id)
            example = Example(
                id=former.id if former else 0,
                turn_id=feedback.turn_id,
                feedback_id=feedback.id,
                status=status,
                level=feedback.level,
                weight=feedback.weight,
                messages=messages,
                target=target,
                rejected=rejected,
                note=feedback.note,
                created_at=former.created_at if former else now,
                updated_at=now,
            )
            if former:
                self._connection.update("examples", former.id, _row(example))
                return example
            return replace(example, id=self._connection.insert("examples", _row(example)))

    def add_unknown(self, examples: Iterable[Example]) -> list[tuple[Example, bool]]:
        """Add examples that no turn stands behind, their ids still 0; none is added twice.

        One is known where another has the same messages and the same target, whatever became of
        that one since; of drafts, the same rejected answer.

        Returns:
            For each what is stored, and whether it is new.
        """
        with self._connection.transaction():
            known = {
                _identity(row): row["id"]
                for row in self._connection.rows(
                    "SELECT id, messages, target, rejected FROM examples WHERE status <> ?",
                    ExampleStatus.FORGOTTEN.value,
                )
            }
            return [self._add_unknown(example, known) for example in examples]

    def _add_unknown(
        self, example: Example, known: dict[tuple[str | None, ...], int]
    ) -> tuple[Example, bool]:
        now = self._connection.now()
        row = _row(replace(example, created_at=now, updated_at=now))
        identity = _identity(row)
        is_new = identity not in known
        if is_new:
            known[identity] = self._connection.insert("examples", row)
        return self.get(known[identity]), is_new

    def get(self, example_id: int) -> Example:
        """Raises NotFound."""
        row = self._connection.row("SELECT * FROM examples WHERE id = ?", example_id)
        if row is None:
            raise NotFound(f"no example {example_id}", hint="'shammah examples list' shows them")
        return _example(row)

    def of_turn(self, turn_id: str) -> Example | None:
        row = self._connection.row("SELECT * FROM examples WHERE turn_id = ?", turn_id)
        return _example(row) if row else None

    def ready(self) -> list[Example]:
        """Everything that may be taught, oldest first."""
        rows = self._connection.rows("SELECT * FROM examples WHERE status = 'ready' ORDER BY id")
        return [_example(row) for row in rows]

    def amount(self) -> tuple[int, int]:
        """How many are ready, and how many characters their questions and targets have together."""
        row = self._connection.row(
            "SELECT count(*) AS number, coalesce(sum(length(target) "
            "+ length(json_extract(messages, '$[#-1].content'))), 0) AS characters "
            "FROM examples WHERE status = 'ready'"
        )
        return (row["number"], row["characters"]) if row else (0, 0)

    def hashes(self) -> set[str]:
        """The content hashes of all that are ready."""
        rows = self._connection.rows("SELECT content_hash FROM examples WHERE status = 'ready'")
        return {row["content_hash"] for row in rows}

    def waiting(self, active: Active) -> list[Example]:
        """Ready examples whose present content the active version was not taught, oldest first."""
        rows = self._connection.rows(f"SELECT examples.* {_WAITING} ORDER BY id", active.version)
        return [_example(row) for row in rows]

    def count_waiting(self, active: Active) -> int:
        return int(self._connection.value(f"SELECT count(*) {_WAITING}", active.version))

    def count_fresh(self, active: Active, change: int) -> int:
        """Of those that wait or are outdated: how many were changed after the numbered change."""
        return int(self._connection.value(_COUNT_FRESH, active.version, change))

    def in_order(self, ids: Collection[int]) -> list[Example]:
        """Those examples, the one that was changed last at the end."""
        places = ", ".join("?" * len(ids))
        rows = self._connection.rows(
            f"SELECT * FROM examples WHERE id IN ({places}) ORDER BY change", *ids
        )
        return [_example(row) for row in rows]

    def newest_change(self) -> int:
        """The number of the last change of any example; 0 before the first."""
        return int(self._connection.value(NEWEST_CHANGE))

    def outdated(self, active: Active) -> list[Example]:
        """Examples that the active version was taught and that are no longer ready."""
        rows = self._connection.rows(
            "SELECT examples.* FROM examples "
            "JOIN taught ON taught.version = ? AND taught.example_id = examples.id "
            f"WHERE status IN ({', '.join('?' * len(_NOT_READY))}) ORDER BY id",
            active.version,
            *_NOT_READY,
        )
        return [_example(row) for row in rows]

    def unlearned(self, base: str, words: Collection[str], limit: int) -> list[Example]:
        """Ready examples that share a word's stem with `words`, the best matches first, without
        those that a version of the base has learned with their present content.
        """
        if not words:
            return []
        query = " OR ".join(f'"{word.replace(chr(34), "")}"' for word in words)
        rows = self._connection.rows(_UNLEARNED, query, base, limit)
        return [_example(row) for row in rows]

    def counts(self) -> dict[ExampleStatus, int]:
        """How many there are of every status."""
        rows = self._connection.rows(
            "SELECT status, count(*) AS number FROM examples GROUP BY status"
        )
        return dict.fromkeys(ExampleStatus, 0) | {
            ExampleStatus(row["status"]): row["number"] for row in rows
        }

    def set_target(
        self, example_id: int, target: str, status: ExampleStatus = ExampleStatus.READY
    ) -> Example:
        """Accept `target`, as the rules allow it: the example is ready, or held.

        Raises NotFound.
        """
        with self._connection.transaction():
            example = self.get(example_id)
            return self.save(replace(example, status=status, target=target, superseded_by=None))

    def set_status(self, example_id: int, status: ExampleStatus) -> Example:
        """Raises NotFound."""
        with self._connection.transaction():
            return self.save(replace(self.get(example_id), status=status))

    def supersede(self, example_id: int, by: int) -> Example:
        """Keep it as history only: `by` holds instead. Raises NotFound."""
        with self._connection.transaction():
            example = self.get(example_id)
            return self.save(replace(example, status=ExampleStatus.SUPERSEDED, superseded_by=by))

    def list(
        self, status: ExampleStatus | None = None, before: int | None = None, limit: int = -1
    ) -> list[Example]:
        """Newest first; those that will never be taught only when asked for.

        Args:
            before: only those with a smaller id.
            limit: so many at most; below 0 all.
        """
        wanted = [status] if status else LISTED
        places = ", ".join("?" * len(wanted))
        rows = self._connection.rows(
            f"SELECT * FROM examples WHERE status IN ({places}) AND id < ? "
            "ORDER BY id DESC LIMIT ?",
            *(one.value for one in wanted),
            _NO_ID if before is None else before,
            limit,
        )
        return [_example(row) for row in rows]

    def save(self, example: Example) -> Example:
        """Write all of it, changed just now."""
        saved = replace(example, updated_at=self._connection.now())
        self._connection.update("examples", saved.id, _row(saved))
        return saved


def _identity(row: dict[str, Any]) -> tuple[str | None, ...]:
    """What makes two rows the same example."""
    target = row["target"]
    return row["messages"], target, row["rejected"] if target is None else None


def _row(example: Example) -> dict[str, Any]:
    row = asdict(example) | {
        "status": example.status.value,
        "level": example.level.value,
        "messages": to_json(example.messages),
        "content_hash": example.content_hash,
    }
    del row["id"]
    return row


def _example(row: dict[str, Any]) -> Example:
    return Example(
        id=row["id"],
        turn_id=row["turn_id"],
        feedback_id=row["feedback_id"],
        status=ExampleStatus(row["status"]),
        level=Level(row["level"]),
        weight=row["weight"],
        messages=json.loads(row["messages"]),
        target=row["target"],
        rejected=row["rejected"],
        note=row["note"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        superseded_by=row["superseded_by"],
        source=row["source"],
    )
