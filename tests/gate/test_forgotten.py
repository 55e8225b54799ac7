"""When a forgotten example counts as forgotten."""

from __future__ import annotations

import pytest

from shammah.gate.forgotten import Proof


@pytest.mark.parametrize(
    ("before", "after", "forgotten"),
    [
        (0.01, 3.06, True),
        (0.01, 2.72, True),  # other lessons of the same form
        (0.01, 2.0, False),
        (2.9, 2.97, True),  # hardly taught: within the noise
        (2.9, 2.8, False),
    ],
)
def test_what_is_left_is_judged_by_what_was_taught(
    before: float, after: float, forgotten: bool
) -> None:
    proof = Proof(example_id=3, nll_base=3.06, nll_before=before, nll_after=after)
    assert proof.is_forgotten is forgotten
    assert f"{before:.2f} when it was known, 3.06 under the base" in str(proof)
