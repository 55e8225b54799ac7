"""The merged end of the log files, and what was written after it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from shammah.errors import UsageError
from shammah_daemon import tail as tails
from shammah_daemon.tail import tail


def entry(second: int, event: str, **fields: object) -> str:
    at = f"2026-11-21T10:00:{second:02d}.000000Z"
    return json.dumps({"event": event, "level": "info", "timestamp": at} | fields) + "\n"


def write(folder: Path, name: str, text: str) -> None:
    with (folder / name).open("a") as file:
        file.write(text)


def test_lines_of_all_files_come_in_the_order_of_their_time(tmp_path: Path) -> None:
    cursor = tail(tmp_path, None).next
    write(tmp_path, "shammahd.log", entry(1, "job", job=3) + entry(9, "judged", failed=["sane"]))
    write(tmp_path, "stages.err", "Traceback\n")
    os.utime(tmp_path / "stages.err", (1795255205, 1795255205))  # 2026-11-21T10:00:05Z
    write(tmp_path, "shammahd.err", "")
    found = tail(tmp_path, cursor)
    assert [(line.source, line.text) for line in found.data] == [
        ("daemon", "job job=3"),
        ("stages", "Traceback"),
        ("daemon", "judged failed=['sane']"),
    ]
    assert found.data[1].at is None


def test_what_has_no_time_comes_first_at_the_first_look(tmp_path: Path) -> None:
    write(tmp_path, "shammahd.log", entry(1, "job"))
    write(tmp_path, "stages.err", "a warning of last week\n")
    assert [line.text for line in tail(tmp_path, None).data] == ["a warning of last week", "job"]


def test_a_look_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    write(tmp_path, "shammahd.log", entry(1, "first"))
    first = tail(tmp_path, None)
    assert tail(tmp_path, first.next).data == []
    write(tmp_path, "shammahd.log", entry(2, "second") + '{"event": "half')
    second = tail(tmp_path, first.next)
    assert [line.text for line in second.data] == ["second"]
    write(tmp_path, "shammahd.log", ' a line"}\n')
    assert [line.text for line in tail(tmp_path, second.next).data] == ["half a line"]


def test_a_rotated_file_is_read_from_its_beginning(tmp_path: Path) -> None:
    write(tmp_path, "shammahd.log", entry(1, "before") * 3)
    cursor = tail(tmp_path, None).next
    (tmp_path / "shammahd.log").write_text(entry(2, "after"))
    assert [line.text for line in tail(tmp_path, cursor).data] == ["after"]


def test_the_first_look_shows_whole_lines_of_the_end_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [entry(n, f"event {n}") for n in range(5)]
    monkeypatch.setattr(tails, "FIRST_BYTES", len(lines[-1]) * 2 + 5)
    write(tmp_path, "shammahd.log", "".join(lines))
    assert [line.text for line in tail(tmp_path, None).data] == ["event 3", "event 4"]


def test_an_error_keeps_its_traceback(tmp_path: Path) -> None:
    write(tmp_path, "shammahd.log", entry(1, "crashed", exception="Traceback\nValueError"))
    (line,) = tail(tmp_path, None).data
    assert (line.text, line.trace) == ("crashed", "Traceback\nValueError")


@pytest.mark.parametrize("cursor", ["x", "1.2", "1.2.3.4", "-1.0.0", "².0.0"])
def test_a_foreign_cursor_is_refused(tmp_path: Path, cursor: str) -> None:
    with pytest.raises(UsageError, match="no such place"):
        tail(tmp_path, cursor)
