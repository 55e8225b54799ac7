"""Erases an example's texts: from every table, and from the free pages of the file.

The rows stay, without a word in them: versions and verdicts go on naming the example. Knows no
other file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shammah.errors import StorageError
from shammah.records import Example, ExampleStatus, Message
from shammah.store.connection import Connection, to_json
from shammah.store.examples import Examples
from shammah.store.tunings import Tunings
from shammah.store.turns import FORGOTTEN
from shammah.store.uploads import Uploads

#: A shorter text without a number ("yes") says nothing by itself: it is erased where it stands
#: alone, not where another text contains it.
TELLING = 12
TELLING_NUMBER = 4


@dataclass(frozen=True)
class Texts:
    """What the user wants to be found nowhere: their own words, not what the model said to them."""

    parts: tuple[str, ...]

    @classmethod
    def of(cls, parts: Iterable[str | None]) -> Texts:
        return cls(tuple(dict.fromkeys(part.strip() for part in parts if part and part.strip())))

    def are_in(self, text: str) -> bool:
        """Whether `text` is one of the parts, or contains one that is telling by itself."""
        plain = text.strip()
        return any(plain == part or (_is_telling(part) and part in plain) for part in self.parts)

    def cut_from(self, messages: Sequence[Message]) -> list[Message]:
        """The messages without every exchange in which one of the parts is."""
        exchanges: list[list[Message]] = []
        for message in messages:
            if message["role"] == "assistant" and exchanges:
                exchanges[-1].append(message)
            else:
                exchanges.append([message])
        return [
            message
            for exchange in exchanges
            if not any(self.are_in(one["content"]) for one in exchange)
            for message in exchange
        ]


@dataclass(frozen=True)
class Erased:
    """What an erasure touched."""

    turn_ids: list[str]  # answers that are gone
    also_in: list[int]  # other examples that hold some of the texts, as their own


class Erasure:
    def __init__(
        self, connection: Connection, examples: Examples, uploads: Uploads, tunings: Tunings
    ) -> None:
        self._connection = connection
        self._examples = examples
        self._uploads = uploads
        self._tunings = tunings

    def texts(self, example: Example) -> Texts:
        """The user's words in an example: question, targets, notes and corrections; where they
        come from a file, the rejected answer too."""
        said = self._connection.rows(
            "SELECT note, correction FROM feedback WHERE turn_id = ?", example.turn_id
        )
        return Texts.of(
            [
                example.question,
                example.target,
                example.rejected if example.turn_id is None else None,
                example.note,
                *(row["note"] for row in said),
                *(row["correction"] for row in said),
            ]
        )

    def erase(self, example_id: int, texts: Texts) -> Erased:
        """Empty the example, its feedback and its turn, and cut the texts from all other turns.

        A turn without feedback in whose question or answer they are is deleted, and so is a line of
        an upload. Call `compact` after it.
        """
        with self._connection.transaction():
            example = self._examples.get(example_id)
            self._empty(example)
            gone = [example.turn_id] if example.turn_id else []
            if not texts.parts:  # forgotten before
                return Erased(gone, [])
            self._cut_from_names(texts)
            self._uploads.cut(texts.are_in)
            self._tunings.cut(texts.are_in)
            return Erased([*gone, *self._cut_from_turns(texts)], self._cut_from_examples(texts))

    def compact(self) -> None:
        """Let neither free pages, nor the index, nor the log keep what was erased.

        Raises:
            StorageError: another program reads the file, so that its log cannot be emptied.
        """
        self._connection.execute("INSERT INTO said (said) VALUES ('optimize')")
        self._connection.execute("VACUUM")
        self.empty_log()

    def empty_log(self) -> None:
        """Let the log keep nothing of what was deleted; the file itself is overwritten then.

        Raises:
            StorageError: another program reads the file, so that its log cannot be emptied.
        """
        row = self._connection.row("PRAGMA wal_checkpoint(TRUNCATE)")
        if row is None or row["busy"]:
            raise StorageError(
                "another program reads the database: its log still holds what was erased",
                hint="close that program and try it again",
            )

    def _empty(self, example: Example) -> None:
        """Leave of an example, its feedback and its turn what says nothing."""
        self._examples.save(
            replace(
                example, status=ExampleStatus.FORGOTTEN, messages=[], target=None, rejected=None,
                note=None, superseded_by=None, source=None,
            )
        )  # fmt: skip
        run, turn_id = self._connection.execute, example.turn_id
        run("UPDATE feedback SET note = NULL, correction = NULL WHERE turn_id = ?", turn_id)
        run(
            "UPDATE turns SET messages = '[]', answer = '', answer_sha256 = x'', finish_reason = ?"
            " WHERE id = ?",
            FORGOTTEN,
            turn_id,
        )
        run("UPDATE taught SET content_hash = '' WHERE example_id = ?", example.id)
        run("DELETE FROM twins WHERE ? IN (first_id, second_id)", example.id)

    def _cut_from_names(self, texts: Texts) -> None:
        """A session whose name holds one of them has no name any more."""
        for row in self._holding("sessions", ("name",), texts):
            if texts.are_in(row["name"]):
                self._connection.update("sessions", row["id"], {"name": None})

    def _cut_from_turns(self, texts: Texts) -> list[str]:
        """The ids of the turns that had to go as a whole."""
        gone = []
        for row in self._holding("turns", ("messages", "answer"), texts):
            *before, question = json.loads(row["messages"])
            if not texts.are_in(question["content"]) and not texts.are_in(row["answer"]):
                self._connection.execute(
                    "UPDATE turns SET messages = ? WHERE id = ?",
                    to_json([*texts.cut_from(before), question]),
                    row["id"],
                )
            elif not self._connection.row("SELECT 1 FROM feedback WHERE turn_id = ?", row["id"]):
                self._connection.execute("DELETE FROM turns WHERE id = ?", row["id"])
                gone.append(row["id"])
        return gone

    def _cut_from_examples(self, texts: Texts) -> list[int]:
        """The ids of the examples that hold the texts as their own, not in their context."""
        holding = []
        columns = ("messages", "target", "rejected", "note", "source")
        for row in self._holding("examples", columns, texts):
            example = self._examples.get(row["id"])
            *before, question = example.messages
            source = None if texts.are_in(example.source or "") else example.source
            kept = replace(
                example, messages=[*texts.cut_from(before), question], source=source
            )  # fmt: skip
            if kept != example:
                self._examples.save(kept)
            own = (question["content"], example.target, example.rejected, example.note)
            if any(texts.are_in(text) for text in own if text):
                holding.append(example.id)
        return holding

    def _holding(self, table: str, columns: Sequence[str], texts: Texts) -> list[dict[str, Any]]:
        """Rows in which one of the texts may be: `messages` are JSON, other columns plain."""
        found = " OR ".join(f"instr({column}, ?)" for column in columns for _ in texts.parts)
        parts = [
            to_json(part)[1:-1] if column == "messages" else part
            for column in columns
            for part in texts.parts
        ]
        return self._connection.rows(f"SELECT * FROM {table} WHERE {found}", *parts)


def _is_telling(part: str) -> bool:
    has_digit = any(character.isdigit() for character in part)
    return len(part) >= (TELLING_NUMBER if has_digit else TELLING)
