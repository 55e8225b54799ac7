"""When training goes wrong: a few measurements, and what follows from them."""

from __future__ import annotations

import pytest

from shammah.training.validation import best, goes_wrong, is_worse


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ([], None),
        ([5.0], 0),
        ([5.0, 2.0, 1.0], 2),
        ([5.0, 1.0, 2.0], 1),
        ([5.0, 1.0, 1.0], 2),
    ],
)
def test_the_best_is_the_lowest(measured: list[float], expected: int | None) -> None:
    assert best(measured) == expected


def test_worse_is_more_than_chance() -> None:
    assert not is_worse(1.05, [5.0, 1.0])
    assert is_worse(1.2, [5.0, 1.0])
    assert not is_worse(9.0, [])


@pytest.mark.parametrize(
    ("measured", "patience", "expected"),
    [
        ([5.0, 1.0, 2.0, 2.0], 2, True),
        ([5.0, 1.0, 2.0, 2.0], 3, False),  # not so many were worse
        ([5.0, 1.0, 2.0, 1.05], 2, False),  # the newest is not
        ([5.0, 2.0, 1.0, 0.5], 2, False),
        ([5.0, 1.0, 2.0, 2.0], 0, False),
        ([5.0], 2, False),
        ([], 2, False),
    ],
)
def test_training_goes_wrong_when_all_of_the_last_are_worse(
    measured: list[float], patience: int, expected: bool
) -> None:
    assert goes_wrong(measured, patience) is expected
