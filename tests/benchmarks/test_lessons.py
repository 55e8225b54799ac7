"""Reading files of lessons."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.lessons import ALL_OWN, Lesson, load
from shammah.errors import UsageError

GOOD = {"q": "Who?", "a": "Ada does.", "key": "Ada", "t": ["Who is it?"], "p": ["Which one?"]}


def written(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "lessons.json"
    path.write_text(json.dumps(content))
    return path


def test_a_lesson_is_read(tmp_path: Path) -> None:
    assert load(written(tmp_path, [GOOD])) == [
        Lesson("Who?", "Ada does.", "Ada", near=["Who is it?"], paraphrases=["Which one?"])
    ]


def test_the_lessons_of_our_own_hold_their_keys_only_in_the_answer() -> None:
    own, more, many = map(load, ALL_OWN)
    assert [len(own), len(more), len(many)] == [20, 30, 130]
    assert len({lesson.key.casefold() for lesson in [*own, *more]}) == 50
    assert len({lesson.question for lesson in many}) == 130
    for lesson in [*own, *more, *many]:
        assert lesson.key.casefold() in lesson.answer.casefold()
        for question in [lesson.question, *lesson.near, *lesson.paraphrases]:
            assert lesson.key.casefold() not in question.casefold()


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ([], "no list"),
        ({"q": "Who?"}, "no list"),
        ([GOOD, {**GOOD, "key": ""}], "lesson 2"),
        ([{"q": "Who?"}], "lesson 1"),
        ([{**GOOD, "t": "Who is it?"}], "t of lesson 1"),
    ],
)
def test_what_is_not_of_the_form_is_named(tmp_path: Path, broken: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(written(tmp_path, broken))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.json"):
        load(tmp_path / "nowhere.json")
