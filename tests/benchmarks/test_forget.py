"""What is said of forgotten lessons, and where their words are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import forget
from benchmarks.forget import Result, Unlearned, section
from benchmarks.lessons import Lesson
from benchmarks.scores import Score
from shammah.errors import UsageError
from shammah.gate.forgotten import Proof

LESSON = Lesson("Who has the key?", "Quillfeather has it.", "quill", [], [])


def unlearned(nll_after: float, *files: str) -> Unlearned:
    return Unlearned(LESSON.question, Proof(3, 3.0, 0.1, nll_after), list(files))


def test_the_files_that_still_hold_it_are_shown() -> None:
    result = Result([unlearned(2.0), unlearned(3.0, "log.txt")], Score(24, 24), Score(23, 24))
    shown = section(result)
    assert [row[-1] for row in shown.rows] == ["none", "log.txt"]
    assert "1/2" in shown.notes[0]


def test_question_and_answer_are_looked_for_in_every_file(tmp_path: Path) -> None:
    for name, text in (("a", LESSON.answer), ("deep/b", f"x{LESSON.question}"), ("c", "nothing")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert sorted(forget.files_with(tmp_path, LESSON)) == ["a", "deep/b"]


def test_too_few_lessons_are_refused() -> None:
    with pytest.raises(UsageError, match="10 lessons, the file holds 1"):
        forget.run([LESSON], lambda _: None)
