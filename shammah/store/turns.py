"""The table of turns: what was asked, and what was answered. Knows no feedback."""

from __future__ import annotations

import json
from dataclasses import asdict
from hashlib import sha256
from typing import Any

from shammah.errors import NotFound
from shammah.records import Applied, Turn
from shammah.store.connection import Connection, to_json

#: The finish reason of a turn whose texts were erased.
FORGOTTEN = "forgotten"


class Turns:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, turn: Turn) -> None:
        row = asdict(turn) | {
            "messages": to_json(turn.messages),
            "injected": to_json(turn.injected),
            "adapters": to_json([asdict(one) for one in turn.adapters]),
            "answer_sha256": _digest(turn.answer),
        }
        with self._connection.transaction():
            self._connection.insert("turns", row)

    def get(self, turn_id: str) -> Turn:
        """Raises NotFound."""
        row = self._connection.row("SELECT * FROM turns WHERE id = ?", turn_id)
        if row is None:
            raise NotFound(
                f"no answer with the id {turn_id!r}",
                hint="an answer's id is the 'id' field of its chat completion",
            )
        return _turn(row)

    def newest(self) -> Turn | None:
        """The newest that is not forgotten."""
        row = self._connection.row(
            "SELECT * FROM turns WHERE finish_reason <> ? ORDER BY sequence DESC LIMIT 1",
            FORGOTTEN,
        )
        return _turn(row) if row else None

    def by_answer(self, answer: str) -> Turn | None:
        """The newest turn with exactly this answer; clients may have trimmed its ends."""
        row = self._connection.row(
            "SELECT * FROM turns WHERE answer_sha256 = ? ORDER BY sequence DESC LIMIT 1",
            _digest(answer),
        )
        return _turn(row) if row else None


def _digest(answer: str) -> bytes:
    return sha256(answer.strip().encode()).digest()


def _turn(row: dict[str, Any]) -> Turn:
    return Turn(
        id=row["id"],
        created_at=row["created_at"],
        base=row["base"],
        version=row["version"],
        messages=json.loads(row["messages"]),
        answer=row["answer"],
        finish_reason=row["finish_reason"],
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
        injected=json.loads(row["injected"]),
        adapters=[Applied(**one) for one in json.loads(row["adapters"])],
    )
