"""The tables of uploads: files of examples and their lines, as clients gave them. Of a line's
format it knows that it is JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from shammah.errors import NotFound
from shammah.records import Upload, UploadLine
from shammah.store.connection import Connection

#: What a file is called whose name was erased.
NAMELESS = "upload.jsonl"

_COLUMNS = "id, filename, size_bytes, created_at"


class Uploads:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, upload_id: str, filename: str, lines: Sequence[str], sha256: str) -> Upload:
        """Keep a file's lines, their ends included.

        Args:
            sha256: of the whole, by which it is found when it is given again.
        """
        row = {
            "id": upload_id,
            "filename": filename,
            "size_bytes": sum(len(line.encode()) for line in lines),
            "sha256": sha256,
            "created_at": self._connection.now(),
        }
        with self._connection.transaction():
            self._connection.insert("uploads", row)
            self._connection.insert_all(
                "upload_lines",
                [
                    {"upload_id": upload_id, "number": number, "text": line}
                    for number, line in enumerate(lines, 1)
                ],
            )
            return self.get(upload_id)

    def get(self, upload_id: str) -> Upload:
        """Raises NotFound."""
        row = self._connection.row(f"SELECT {_COLUMNS} FROM uploads WHERE id = ?", upload_id)
        if row is None:
            raise NotFound(f"no file {upload_id!r}", hint="GET /v1/files lists them")
        return Upload(**row)

    def same(self, filename: str, sha256: str) -> Upload | None:
        """The file that was given under this name with these bytes, unless lines of it are gone."""
        row = self._connection.row(
            f"SELECT {_COLUMNS} FROM uploads WHERE filename = ? AND sha256 = ?", filename, sha256
        )
        return Upload(**row) if row else None

    def page(self, after: str | None, limit: int, *, newest_first: bool) -> list[Upload]:
        """Files that come after the one called `after`. Raises NotFound where there is none."""
        beyond, order = ("<", "DESC") if newest_first else (">", "ASC")
        if after is not None:
            self.get(after)
        rows = self._connection.rows(
            f"SELECT {_COLUMNS} FROM uploads WHERE ? IS NULL OR "
            f"sequence {beyond} (SELECT sequence FROM uploads WHERE id = ?) "
            f"ORDER BY sequence {order} LIMIT ?",
            after,
            after,
            limit,
        )
        return [Upload(**row) for row in rows]

    def lines(self, upload_id: str) -> list[UploadLine]:
        """In the order of the file."""
        rows = self._connection.rows(
            "SELECT id, number, text, example_id FROM upload_lines WHERE upload_id = ? "
            "ORDER BY number",
            upload_id,
        )
        return [UploadLine(**row) for row in rows]

    def delete(self, upload_id: str) -> None:
        """Remove a file and its lines; examples that were made of them stay. Raises NotFound."""
        with self._connection.transaction():
            self.get(upload_id)
            self._connection.execute("DELETE FROM upload_lines WHERE upload_id = ?", upload_id)
            self._connection.execute("DELETE FROM uploads WHERE id = ?", upload_id)

    def made_into(self, line_ids: Collection[int]) -> dict[int, int | None]:
        """Of those lines that are still there: the example that each was made into, by line id."""
        rows = self._connection.rows(
            "SELECT id, example_id FROM upload_lines WHERE id IN (SELECT value FROM json_each(?)) "
            "ORDER BY id",
            json.dumps(list(line_ids)),
        )
        return {row["id"]: row["example_id"] for row in rows}

    def link(self, example_ids: Mapping[int, int]) -> None:
        """Record what lines were made into, by line id."""
        for line_id, example_id in example_ids.items():
            self._connection.update("upload_lines", line_id, {"example_id": example_id})

    def cut(self, holds: Callable[[str], bool]) -> None:
        """Delete every line in which a text is that `holds`, and the names that do.

        A file that has lost lines is not found by its content any more: the hash would tell of it.
        """
        for row in self._connection.rows("SELECT id, filename FROM uploads"):
            upload_id = row["id"]
            gone = [line for line in self.lines(upload_id) if any(map(holds, _texts_of(line.text)))]
            for line in gone:
                self._connection.execute("DELETE FROM upload_lines WHERE id = ?", line.id)
            if gone:
                self._connection.execute(
                    "UPDATE uploads SET sha256 = '', size_bytes = size_bytes - ? WHERE id = ?",
                    sum(len(line.text.encode()) for line in gone),
                    upload_id,
                )
            if holds(row["filename"]):
                self._connection.execute(
                    "UPDATE uploads SET filename = ? WHERE id = ?", NAMELESS, upload_id
                )


def _texts_of(line: str) -> Iterator[str]:
    """Every string in a line of JSON, however it is escaped there."""
    if line.strip():
        yield from _strings(json.loads(line))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)
