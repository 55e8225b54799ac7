"""Which rows the trainers are compared on, and with which allocator."""

from __future__ import annotations

import pytest

from benchmarks.train import environment, first_steps, step_tokens
from shammah.training.spec import Dataset, JobSpec, Recipe, Row
from shammah_daemon.lesson import Lesson

RECIPE = Recipe(
    rank=4, alpha=8, learning_rate=1e-3, kl_weight=1.0, replay_ratio=1.0, batch_rows=2,
    warmup_steps=1, seed=0,
)  # fmt: skip
ROWS = [Row(prompt=[1] * size, target=[2, 3]) for size in (3, 4, 5)]


def lesson(epochs: list[list[int]]) -> Lesson:
    spec = JobSpec(
        job_id=1, base="b", mode="consolidate", recipe=RECIPE, examples=[], quantizations=[]
    )
    return Lesson(spec, Dataset(ROWS, epochs), cases=[])


def test_the_first_steps_cross_epochs() -> None:
    assert first_steps(lesson([[0, 1, 2], [2, 1, 0]]), 2).dataset.epochs == [[0, 1, 2, 2]]


def test_the_tokens_of_a_step_are_those_of_its_rows() -> None:
    assert step_tokens(Dataset(ROWS, [[0, 1], [2]]), batch_rows=2) == [5 + 6, 7]


def test_the_allocator_settings_are_all_that_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TOP_PAD_", "1")
    kept, default = environment(keeps_memory=True), environment(keeps_memory=False)
    differing = {name for name in kept if kept[name] != default.get(name)}
    assert differing
    assert all(name.startswith("MALLOC_") and name not in default for name in differing)
