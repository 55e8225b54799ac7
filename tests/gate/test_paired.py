"""The exact tests give the probabilities of the textbook."""

from __future__ import annotations

import pytest

from shammah.gate.paired import mcnemar, sign_test


@pytest.mark.parametrize(
    ("up", "total", "p"),
    [(5, 5, 1 / 32), (4, 5, 6 / 32), (10, 10, 1 / 1024), (0, 7, 1.0), (9, 10, 11 / 1024)],
)
def test_sign_test_is_exact(up: int, total: int, p: float) -> None:
    assert sign_test(up, total) == p


@pytest.mark.parametrize(
    ("lost", "gained", "p"), [(0, 0, 1.0), (5, 0, 1 / 32), (5, 5, 638 / 1024), (1, 8, 511 / 512)]
)
def test_mcnemar_looks_at_the_pairs_that_changed(lost: int, gained: int, p: float) -> None:
    assert mcnemar(lost, gained) == p
