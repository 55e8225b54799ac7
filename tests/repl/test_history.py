"""Entries are taken out of prompt_toolkit's own file; what is left is still its format."""

from __future__ import annotations

from pathlib import Path

from prompt_toolkit.history import FileHistory

from shammah.repl.history import without


def test_a_forgotten_question_goes_with_the_feedback_on_it(tmp_path: Path) -> None:
    file = tmp_path / "history"
    typed = ["before", "where is\nthe key?", "/critical wrong", "/fix old", "/fix new", "/good",
             "after", "/fix by chance", "/forget 3"]  # fmt: skip
    written = FileHistory(file)
    for line in typed:
        written.store_string(line)
    file.write_text(without(file.read_text(), lambda text: text == "where is\nthe key?"))
    left = list(reversed(list(FileHistory(file).load_history_strings())))
    assert left == ["before", "after", "/fix by chance", "/forget 3"]


def test_feedback_that_says_it_goes_wherever_it_is() -> None:
    entries = [f"\n# now\n+{line}\n" for line in ("other", "/fix the key", "/fix the shed")]
    kept = without("".join(entries), lambda text: text == "the key")
    assert kept == entries[0] + entries[2]


def test_nothing_else_is_touched() -> None:
    history = "stray line\n\n# now\n+a\n+\n+b\n\n# then\n+c\n"
    assert without(history, lambda text: False) == history
