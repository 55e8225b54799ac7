"""Exact one-sided tests on pairs of before and after. Arithmetic alone; knows no example."""

from __future__ import annotations

import math

#: Below so many pairs no outcome reaches 5 %: the rules then look at every single pair.
LEAST_PAIRS = 5


def sign_test(up: int, total: int) -> float:
    """Chance of at least `up` of `total` under a fair coin (Arbuthnott 1710)."""
    return sum(math.comb(total, k) for k in range(up, total + 1)) / float(2**total)


def mcnemar(lost: int, gained: int) -> float:
    """Chance of at least `lost` of the pairs that changed, if losing were as likely as gaining.

    The exact form of McNemar's test (Psychometrika 12, 1947): pairs that did not change say
    nothing.
    """
    return sign_test(lost, lost + gained)
