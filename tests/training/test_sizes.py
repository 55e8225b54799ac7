"""The learning rate falls with the size of the base, as its source says."""

from __future__ import annotations

import pytest

from shammah.training.sizes import SIZES, learning_rate_for


@pytest.mark.parametrize(
    ("parameters", "hidden_size"),
    [(135e6, 576), (362e6, 960), (1.7e9, 2048), (3.2e9, 3072), (8e9, 4096)],
)
def test_the_table_follows_the_hidden_size(parameters: float, hidden_size: int) -> None:
    expected = 1.4e-3 * (576 / hidden_size) ** 0.781
    assert learning_rate_for(int(parameters)) == pytest.approx(expected, rel=0.05)


def test_a_larger_base_never_learns_faster() -> None:
    rates = [size.learning_rate for size in SIZES]
    assert rates == sorted(rates, reverse=True)
    assert learning_rate_for(10**12) == rates[-1]
