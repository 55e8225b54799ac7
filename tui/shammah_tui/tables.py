"""The tables of jobs and versions; know what is in a row, not where it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual.widgets import DataTable

from shammah.protocol import JobView, VersionView
from shammah.wording import one_line, size
from shammah_tui import wording

Row = tuple[str, ...]


class RecordTable(DataTable[Text]):
    """Rows of plain text by their ids, built again only when they are others.

    The cursor stays on its record; on the first row it stays there, so that it follows the newest.

    Columns get their widths with the rows. DataTable measures new cells only when it is idle, and
    a line that is painted before that is cached and stays cut to the old width.
    """

    HEADINGS: ClassVar[Row]

    def __init__(self, id: str) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=True)
        self._shown: Sequence[Row] = ()
        self._ids: list[int] = []

    def on_mount(self) -> None:
        self.add_columns(*self.HEADINGS)

    @property
    def chosen(self) -> int | None:
        """The id of the record under the cursor."""
        return self._ids[self.cursor_row] if self.cursor_row < len(self._ids) else None

    def show_rows(self, rows: Iterable[tuple[int, Row]]) -> None:
        """`rows`: each record's id and its cells."""
        listed = list(rows)
        cells = [row for _, row in listed]
        if cells == self._shown:
            return
        chosen = self.chosen if self.cursor_row else None
        self._shown, self._ids = cells, [number for number, _ in listed]
        self.clear(columns=True)
        for column in zip(self.HEADINGS, *cells, strict=True):
            self.add_column(column[0], width=max(map(cell_len, column)))
        # Cells given as str would be read as markup.
        self.add_rows(
            [[Text(cell, no_wrap=True, overflow="ellipsis") for cell in row] for row in cells]
        )
        if chosen in self._ids:
            self.move_cursor(row=self._ids.index(chosen), animate=False)


class JobTable(RecordTable):
    BORDER_TITLE = "Jobs"
    HEADINGS = ("id", "mode", "state", "made", "result")

    def show(self, jobs: list[JobView], now: datetime) -> None:
        self.show_rows(
            (
                job.id,
                (
                    str(job.id),
                    job.mode,
                    job.state,
                    wording.moment(job.created_at, now),
                    wording.result(job),
                ),
            )
            for job in jobs
        )


class VersionTable(RecordTable):
    BORDER_TITLE = "Versions"
    HEADINGS = ("", "no", "type", "size", "made", "result")

    def show(self, versions: list[VersionView], now: datetime) -> None:
        self.show_rows(
            (
                version.number,
                (
                    "●" if version.active else "",
                    str(version.number),
                    version.quantization,
                    size(version.size_bytes),
                    wording.moment(version.created_at, now),
                    one_line(version.summary),
                ),
            )
            for version in versions
        )
