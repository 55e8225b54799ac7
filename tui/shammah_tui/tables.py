"""The tables of the newest jobs and versions; know what is in a row, not where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from rich.text import Text
from textual.widgets import DataTable

from shammah.protocol import JobView, VersionView
from shammah.wording import one_line, size
from shammah_tui import wording

Row = tuple[str, ...]


class RecordTable(DataTable[Text]):
    """Rows of plain text, built again only when they are others; the cursor stays where it is."""

    HEADINGS: ClassVar[Row] = ()

    def __init__(self, id: str) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=True)
        self._shown: Sequence[Row] = ()

    def on_mount(self) -> None:
        self.add_columns(*self.HEADINGS)

    def show_rows(self, rows: Sequence[Row]) -> None:
        if rows == self._shown:
            return
        self._shown = rows
        cursor = self.cursor_row
        self.clear()
        # Cells given as str would be read as markup.
        self.add_rows([[Text(cell) for cell in row] for row in rows])
        self.move_cursor(row=min(cursor, len(rows) - 1))


class JobTable(RecordTable):
    BORDER_TITLE = "Jobs"
    HEADINGS = ("id", "state", "made", "result")

    def show(self, jobs: list[JobView], now: datetime) -> None:
        self.show_rows(
            [
                (
                    str(job.id),
                    job.state,
                    wording.moment(job.created_at, now),
                    wording.result(job),
                )
                for job in jobs
            ]
        )


class VersionTable(RecordTable):
    BORDER_TITLE = "Versions"
    HEADINGS = ("", "no", "type", "size", "made", "result")

    def show(self, versions: list[VersionView], now: datetime) -> None:
        self.show_rows(
            [
                (
                    "●" if version.active else "",
                    str(version.number),
                    version.quantization,
                    size(version.size_bytes),
                    wording.moment(version.created_at, now),
                    one_line(version.summary),
                )
                for version in versions
            ]
        )
