"""The KL divergence that the judge measures, on distributions drawn at random."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shammah.gate.measure import kl

LOGITS = st.lists(st.floats(-12, 12), min_size=2, max_size=40)


def log_softmax(logits: list[float]) -> NDArray[np.float64]:
    values = np.array(logits)
    shifted = values - values.max()
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
    return result


@given(LOGITS, st.data())
def test_it_is_never_negative(logits: list[float], data: st.DataObject) -> None:
    other = data.draw(st.lists(st.floats(-12, 12), min_size=len(logits), max_size=len(logits)))
    top = data.draw(st.integers(1, len(logits)))
    ours, base = log_softmax(other)[:top], log_softmax(logits)[:top]
    assert kl(base.tolist(), ours.tolist()) >= 0


@given(LOGITS, st.data())
def test_equal_distributions_differ_by_nothing(logits: list[float], data: st.DataObject) -> None:
    top = data.draw(st.integers(1, len(logits)))
    base = log_softmax(logits)[:top].tolist()
    assert kl(base, base) == pytest.approx(0, abs=1e-9)


@given(LOGITS, st.data())
def test_the_lump_bounds_the_full_divergence_from_below(
    logits: list[float], data: st.DataObject
) -> None:
    other = data.draw(st.lists(st.floats(-12, 12), min_size=len(logits), max_size=len(logits)))
    top = data.draw(st.integers(1, len(logits)))
    base, ours = log_softmax(logits), log_softmax(other)
    full = float((np.exp(base) * (base - ours)).sum())
    assert kl(base[:top].tolist(), ours[:top].tolist()) <= full + 1e-6


def test_a_value_worked_out_by_hand() -> None:
    base, ours = [math.log(0.5)], [math.log(0.25)]
    assert kl(base, ours) == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(0.5 / 0.75))
