"""The table of sessions: conversations as lists of turns, and the search in what was said.

A session holds no text but its name: questions and answers are its turns', so that what is
forgotten there is gone from here. Knows no rule for what a conversation is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from shammah.errors import NotFound
from shammah.records import Message, Said, Session
from shammah.store.connection import Connection

#: Turns of a session that are its conversation: those that were taken back or asked again stay
#: for their feedback only, one that broke off at once or was forgotten says nothing. After a
#: correction the conversation goes on from it.
_SAID = """
    SELECT turns.*, CASE WHEN examples.status IN ('ready', 'held') THEN target END AS correction
    FROM session_turns JOIN turns USING (sequence)
    LEFT JOIN examples ON examples.turn_id = turns.id AND examples.level <> 'good'
    WHERE kept AND {which} ORDER BY sequence
"""

#: Triggers keep count of what is in each.
_SESSIONS = """
    SELECT sessions.id, name, sessions.created_at, exchanges,
    coalesce(newest.created_at, sessions.created_at) AS updated_at,
    coalesce(json_extract(oldest.messages, '$[#-1].content'), '') AS opening
    FROM sessions
    LEFT JOIN turns AS oldest ON oldest.sequence = first
    LEFT JOIN turns AS newest ON newest.sequence = last
"""

_WORD = re.compile(r"\w+")


class Sessions:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self) -> Session:
        """Begin one, without a name and without a turn."""
        now = self._connection.now()
        with self._connection.transaction():
            number = self._connection.insert("sessions", {"name": None, "created_at": now})
        return self.get(number)

    def get(self, session_id: int) -> Session:
        """Raises NotFound."""
        self.require(session_id)
        [row] = self._connection.rows(f"{_SESSIONS} WHERE sessions.id = ?", session_id)
        return Session(**row)

    def knows(self, session_id: int) -> bool:
        return bool(self._connection.row("SELECT 1 FROM sessions WHERE id = ?", session_id))

    def require(self, session_id: int) -> None:
        """Raises NotFound."""
        if not self.knows(session_id):
            raise NotFound(
                f"no session {session_id}", hint="'shammah sessions list' shows those that are kept"
            )

    def list(self, limit: int = -1) -> list[Session]:
        """Those in which something was said, the newest first; all with a limit below 0."""
        rows = self._connection.rows(
            f"{_SESSIONS} WHERE exchanges > 0 ORDER BY last DESC, sessions.id DESC LIMIT ?", limit
        )
        return [Session(**row) for row in rows]

    def said(self, session_id: int) -> Sequence[Said]:
        """The conversation, oldest first."""
        return self._said("session_id = ?", session_id)

    def search(self, words: str) -> Sequence[tuple[Session, Said]]:
        """Sessions in which all the words were said in one exchange, each with the best such one.

        The last word may be a beginning. Best matches first.
        """
        query = _query(words)
        if not query:
            return []
        rows = self._connection.rows(
            """
            SELECT session_id, turns.id AS turn_id FROM (
                SELECT rowid AS sequence, rank FROM said WHERE said MATCH ?
            ) AS found JOIN turns USING (sequence) JOIN session_turns USING (sequence)
            WHERE kept ORDER BY found.rank, sequence DESC
            """,
            query,
        )
        best: dict[int, str] = {}
        for row in rows:
            best.setdefault(row["session_id"], row["turn_id"])
        shown = self._said(
            "turns.id IN (SELECT value FROM json_each(?))", json.dumps(list(best.values()))
        )
        by_id = {one.id: one for one in shown}
        return [(self.get(number), by_id[turn_id]) for number, turn_id in best.items()]

    def add_turn(self, session_id: int, turn_id: str) -> None:
        """Both must exist. A turn that says nothing is no part of the conversation."""
        self._connection.execute(
            "INSERT INTO session_turns (session_id, sequence, kept) "
            "SELECT ?, sequence, answer <> '' FROM turns WHERE id = ?",
            session_id,
            turn_id,
        )

    def take_back(self, session_id: int, turn_id: str) -> None:
        """Take a turn out of the conversation. Raises NotFound where it is not in it."""
        with self._connection.transaction():
            row = self._connection.row(
                "SELECT sequence FROM session_turns JOIN turns USING (sequence) "
                "WHERE session_id = ? AND turns.id = ?",
                session_id,
                turn_id,
            )
            if row is None:
                raise NotFound(f"no answer {turn_id!r} in session {session_id}")
            self._connection.execute(
                "UPDATE session_turns SET kept = 0 WHERE session_id = ? AND sequence = ?",
                session_id,
                row["sequence"],
            )

    def rename(self, session_id: int, name: str | None) -> Session:
        """Raises NotFound."""
        with self._connection.transaction():
            self.require(session_id)
            self._connection.update("sessions", session_id, {"name": name})
            return self.get(session_id)

    def fork(self, session_id: int, exchanges: int | None = None) -> Session:
        """A new session that begins as this one does: with its first exchanges, or with all.

        Raises NotFound.
        """
        with self._connection.transaction():
            self.require(session_id)
            fork = self.add()
            for one in self.said(session_id)[:exchanges]:
                self.add_turn(fork.id, one.id)
            return self.get(fork.id)

    def delete(self, session_id: int) -> None:
        """Delete the session with every turn that no other session has.

        A turn with feedback keeps what its example needs. Call `Erasure.compact` after it.
        Raises NotFound.
        """
        with self._connection.transaction():
            self.require(session_id)
            own = [
                row["id"]
                for row in self._turns(session_id)
                if not self._connection.row(
                    "SELECT 1 FROM session_turns WHERE sequence = ? AND session_id <> ?",
                    row["sequence"],
                    session_id,
                )
            ]
            self._connection.execute("DELETE FROM sessions WHERE id = ?", session_id)
            for turn_id in own:
                self._delete_turn(turn_id)

    def examples(self, session_id: int) -> Sequence[int]:
        """Ids of the examples that came of its turns and are not forgotten."""
        rows = self._connection.rows(
            """
            SELECT examples.id FROM session_turns JOIN turns USING (sequence)
            JOIN examples ON examples.turn_id = turns.id
            WHERE session_id = ? AND status <> 'forgotten' ORDER BY examples.id
            """,
            session_id,
        )
        return [row["id"] for row in rows]

    def texts(self, session_id: int) -> Sequence[str]:
        """What the user typed in it, also what was taken back: questions and system prompts."""
        return [
            message["content"]
            for row in self._turns(session_id)
            for message in json.loads(row["messages"])
            if message["role"] != "assistant"
        ]

    def _delete_turn(self, turn_id: str) -> None:
        example = self._connection.row("SELECT messages FROM examples WHERE turn_id = ?", turn_id)
        if example is None:
            self._connection.execute("DELETE FROM turns WHERE id = ?", turn_id)
        else:
            self._connection.execute(
                "UPDATE turns SET messages = ? WHERE id = ?", example["messages"], turn_id
            )

    def _said(self, which: str, parameter: int | str) -> Sequence[Said]:
        rows = self._connection.rows(_SAID.format(which=which), parameter)
        return [_said(row) for row in rows]

    def _turns(self, session_id: int) -> Sequence[dict[str, Any]]:
        return self._connection.rows(
            "SELECT turns.* FROM session_turns JOIN turns USING (sequence)"
            " WHERE session_id = ? ORDER BY sequence",
            session_id,
        )


def _query(words: str) -> str:
    """An FTS5 query for all the words, whatever stands between them."""
    found = [f'"{word}"' for word in _WORD.findall(words)]
    return " ".join(found) + "*" if found else ""


def _said(row: dict[str, Any]) -> Said:
    messages: list[Message] = json.loads(row["messages"])
    system = [message["content"] for message in messages if message["role"] == "system"]
    return Said(
        id=row["id"],
        created_at=row["created_at"],
        base=row["base"],
        version=row["version"],
        system=system[0] if system else "",
        question=messages[-1]["content"] if messages else "",
        answer=row["answer"],
        correction=row["correction"],
        finish_reason=row["finish_reason"],
    )
