"""What is written to stderr does not grow for ever, and whoever writes it goes on."""

from __future__ import annotations

from pathlib import Path

from shammah_daemon.stderr import KEPT_BYTES, LONGEST_BYTES, shorten


def test_a_long_file_keeps_its_newest_lines_and_its_writer(tmp_path: Path) -> None:
    long = tmp_path / "stages.err"
    with long.open("ab") as writer:
        writer.write(b"".join(b"line %d\n" % number for number in range(LONGEST_BYTES // 8)))
        writer.flush()
        shorten(tmp_path)
        writer.write(b"the newest\n")
    lines = long.read_bytes().splitlines()
    assert lines[-2:] == [b"line %d" % (LONGEST_BYTES // 8 - 1), b"the newest"]
    assert lines[0].startswith(b"line ")
    assert KEPT_BYTES / 2 < long.stat().st_size <= KEPT_BYTES + 11


def test_what_is_not_long_stays_and_logs_are_left_alone(tmp_path: Path) -> None:
    texts = {"shammahd.err": b"a" * LONGEST_BYTES, "shammahd.log": b"b" * (LONGEST_BYTES + 1)}
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text)
    shorten(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in texts} == texts
