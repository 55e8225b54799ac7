"""What is kept of an unexpected failure."""

from __future__ import annotations

from shammah.paths import Paths
from shammah.repl import crashes


def test_the_log_tells_where_it_failed_and_repeats_no_message(home: Paths) -> None:
    try:
        int("my secret question")
    except ValueError as error:
        said = crashes.record(error, home)
    log = (home.logs / "shammah.log").read_text()
    assert "unexpected ValueError" in said
    assert "ValueError\nTraceback" in log
    assert "test_crashes.py" in log
    assert "my secret question" not in log.replace('int("my secret question")', "")
