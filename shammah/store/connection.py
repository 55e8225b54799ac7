"""One SQLite connection: transactions, rows as dictionaries, errors of the file made clear.

Knows no table.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from shammah.errors import DiskFull, StorageError

#: Another process may look into the file (a backup, `sqlite3`); wait that long for it.
BUSY_SECONDS = 5.0

#: SQLite's primary result codes that say something about the file, not about our SQL
#: (https://www.sqlite.org/rescode.html), each with what it means and what to do.
_FILE_ERRORS = {
    sqlite3.SQLITE_FULL: (
        "the disk is full: cannot write",
        "free some space; nothing that was acknowledged is lost",
    ),
    sqlite3.SQLITE_IOERR: (
        "the disk failed while reading or writing",
        "check the disk and its free space; nothing that was acknowledged is lost",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "damaged database",
        "restore it from a backup, or move it away to begin with an empty one",
    ),
    sqlite3.SQLITE_NOTADB: (
        "not a Shammah database:",
        "restore it from a backup, or move it away to begin with an empty one",
    ),
    sqlite3.SQLITE_READONLY: (
        "cannot write to",
        "make the file and its folder writable, or set SHAMMAH_HOME to another folder",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "cannot open",
        "make the file and its folder writable, or set SHAMMAH_HOME to another folder",
    ),
    sqlite3.SQLITE_BUSY: (
        f"another program has held a lock for {BUSY_SECONDS:.0f} seconds on",
        "close the program that has the file open",
    ),
}


class Connection:
    """The one writing connection. Used by one thread at a time, not always by the one that opened.

    Every method raises `StorageError` when the file cannot be read or written.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        self._path = path
        self._clock = clock
        with self.file_errors():
            self.database = Database(
                sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False),
                execute_plugins=False,
            )

    @property
    def path(self) -> Path:
        return self._path

    def close(self) -> None:
        self.database.close()

    def copy_to(self, path: Path) -> None:
        """Copy all that is committed to the file `path` (https://www.sqlite.org/backup.html)."""
        with (
            self.file_errors(),
            closing(
                sqlite3.connect(
                    f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS
                )
            ) as source,
            closing(sqlite3.connect(path)) as target,
        ):
            source.backup(target)

    def now(self) -> str:
        """The clock's time as the database keeps it: ISO 8601, UTC, milliseconds."""
        return self._clock().astimezone(UTC).isoformat(timespec="milliseconds")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block's writes or none; durable when the outermost block has ended."""
        with self.file_errors(), self.database.atomic():
            yield

    def rows(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        with self.file_errors():
            return list(self.database.query(sql, parameters))

    def row(self, sql: str, *parameters: Any) -> dict[str, Any] | None:
        """The first row, if there is one."""
        return next(iter(self.rows(sql, *parameters)), None)

    def value(self, sql: str, *parameters: Any) -> Any:
        """The only column of the only row."""
        [row] = self.rows(sql, *parameters)
        [value] = row.values()
        return value

    def insert(self, table: str, row: dict[str, Any]) -> int:
        """Insert `row` and return its rowid."""
        with self.file_errors():
            return self.database.execute(_insertion(table, row), row).lastrowid or 0

    def insert_all(self, table: str, rows: Sequence[dict[str, Any]]) -> None:
        """Insert rows that all have the same columns; inside a transaction."""
        if rows:
            with self.file_errors():
                self.database.conn.executemany(_insertion(table, rows[0]), rows)

    def update(self, table: str, row_id: int, changes: dict[str, Any]) -> None:
        """Set the columns in `changes` in the row whose `id` is `row_id`."""
        places = ", ".join(f"{column} = :{column}" for column in changes)
        with self.file_errors():
            self.database.execute(
                f"UPDATE {table} SET {places} WHERE id = :id", changes | {"id": row_id}
            )

    def execute(self, sql: str, *parameters: Any) -> None:
        """Run one statement that gives no rows."""
        with self.file_errors():
            self.database.execute(sql, parameters)

    @contextmanager
    def file_errors(self) -> Iterator[None]:
        """Turn what SQLite says about the file into a StorageError; let our own mistakes pass."""
        try:
            yield
        except sqlite3.Error as error:
            primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if primary not in _FILE_ERRORS:
                raise
            what, hint = _FILE_ERRORS[primary]
            kind = DiskFull if primary == sqlite3.SQLITE_FULL else StorageError
            raise kind(f"{what} {self._path} ({error})", hint=hint) from error


def _insertion(table: str, row: dict[str, Any]) -> str:
    places = ", ".join(f":{column}" for column in row)
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})"


def among(column: str, ids: Collection[int] | None) -> tuple[str, list[str]]:
    """The condition that a column is one of these numbers, or any where there are none, and its
    parameters."""
    if ids is None:
        return "TRUE", []
    return f"{column} IN (SELECT value FROM json_each(?))", [to_json(list(ids))]


def to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
