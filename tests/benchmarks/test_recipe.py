"""Which recipes are tried, and how they are asked for."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks import recipe
from benchmarks.candidates import configured
from benchmarks.lessons import Lesson
from benchmarks.recipe import VARIED, Result, Tried, name_of, run, section
from benchmarks.scores import Score
from shammah.errors import UsageError

LESSON = Lesson("Who has the key?", "Quillfeather has it.", "quill", [], [])
TRIED = Tried(
    "rank 8, alpha 16",
    30,
    25.0,
    Score(1, 1),
    Score(2, 3),
    Score(1, 2),
    Score(0, 44),
    Score(9, 120),
    0.05,
)


def test_the_recipe_as_it_is_comes_first_and_every_other_is_valid_and_different() -> None:
    assert VARIED[0] == {}
    assert len({name_of(settings) for settings in VARIED}) == len(VARIED)
    own = configured({})
    for settings in VARIED[1:]:
        assert configured(settings) != own


def test_what_was_tried_is_read_back_and_shown() -> None:
    found = recipe.stored(json.loads(json.dumps(asdict(TRIED))))
    assert found == TRIED
    assert section(Result(1, [found])).rows[0][0] == "rank 8, alpha 16"


def test_an_unknown_setting_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'ranks'"):
        run([LESSON], tmp_path, ["ranks=8"], lambda _: None)
    with pytest.raises(UsageError, match="'eight'"):
        run([LESSON], tmp_path, ["rank=eight"], lambda _: None)
    with pytest.raises(UsageError, match="rank"):
        run([LESSON], tmp_path, ["rank=0"], lambda _: None)
