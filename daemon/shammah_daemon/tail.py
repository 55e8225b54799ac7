"""The newest lines of the log files, merged by time; knows files and lines, no HTTP.

A cursor says how much of each file has been read. What is between a reader's cursor and the end of
a file that has been rotated meanwhile is lost to that reader.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shammah.errors import UsageError
from shammah.protocol import LogLine, LogSource, LogTail

#: Which file holds whose lines. An engine has no log of its own: what llama.cpp says goes to the
#: daemon's standard error, which `shammah.launch` sends to a file.
FILES: dict[LogSource, str] = {
    "daemon": "shammahd.log",
    "stages": "stages.err",
    "engine": "shammahd.err",
}

#: Of each file: how much the first look shows, and how much one look reads at most.
FIRST_BYTES = 64 << 10
MOST_BYTES = 256 << 10

#: Fields of a JSON line that are not repeated in its text.
_OWN_FIELDS = frozenset({"event", "level", "timestamp", "exception"})


@dataclass(frozen=True)
class _Dated:
    """A line with the moment that it is sorted by."""

    moment: str
    line: LogLine


def tail(folder: Path, cursor: str | None) -> LogTail:
    """What was written after `cursor`; without one, the end of what there is.

    Raises:
        UsageError: the cursor is none of ours.
    """
    offsets = _offsets(cursor)
    dated: list[_Dated] = []
    reached: list[int] = []
    for source, name in FILES.items():
        lines, offset = _read(folder / name, source, offsets.get(source))
        dated += lines
        reached.append(offset)
    dated.sort(key=lambda one: one.moment)  # stable: lines of one file stay in order
    return LogTail(data=[one.line for one in dated], next=".".join(map(str, reached)))


def _offsets(cursor: str | None) -> dict[LogSource, int]:
    if not cursor:
        return {}
    parts = cursor.split(".")
    if len(parts) != len(FILES) or not all(part.isascii() and part.isdecimal() for part in parts):
        raise UsageError(f"no such place in the logs: {cursor!r}", hint="leave 'after' out")
    return dict(zip(FILES, map(int, parts), strict=True))


def _read(path: Path, source: LogSource, offset: int | None) -> tuple[list[_Dated], int]:
    """Whole lines after `offset`, and where the next look begins."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return [], 0
    if offset is None:
        start = max(status.st_size - FIRST_BYTES, 0)
    else:
        start = offset if offset <= status.st_size else 0  # it was rotated
    with path.open("rb") as file:
        file.seek(start)
        block = file.read(MOST_BYTES)
    if offset is None and start:
        whole = block.find(b"\n") + 1  # the first line is cut
        start, block = start + whole, block[whole:]
    block = block[: block.rfind(b"\n") + 1]
    # What a child printed has no time. At the first look it may be of long ago.
    written = datetime.fromtimestamp(status.st_mtime, UTC).isoformat() if offset is not None else ""
    texts = block.decode(errors="replace").splitlines()
    found = [_parse(text, source, written) for text in texts if text.strip()]
    return found, start + len(block)


def _parse(text: str, source: LogSource, written: str) -> _Dated:
    """A JSON line of the daemon, or what a child printed, whose moment is when it was `written`."""
    try:
        fields = json.loads(text)
    except ValueError:
        fields = None
    if not isinstance(fields, dict) or "event" not in fields:
        return _Dated(written, LogLine(source=source, level="info", text=text))
    at = str(fields.get("timestamp", ""))
    line = LogLine(
        source=source,
        at=at or None,
        level=str(fields.get("level", "info")),
        text=_said(fields),
        trace=fields.get("exception"),
    )
    return _Dated(at or written, line)


def _said(fields: dict[str, Any]) -> str:
    """`stage ended stage=[...] code=0`."""
    rest = [
        f"{key}={value}"
        for key, value in fields.items()
        if key not in _OWN_FIELDS and value is not None
    ]
    return " ".join([str(fields["event"]), *rest])
