"""First token, speed and gaps from arrival times."""

from __future__ import annotations

import pytest

from benchmarks.streams import gaps, longest_within, timing


def test_speed_leaves_the_first_token_out() -> None:
    measured = timing(asked=10.0, arrivals=[10.5, 10.75, 11.5], tokens=5, prompt_tokens=7)
    assert measured.first_token_seconds == pytest.approx(0.5)
    assert measured.tokens_per_second == pytest.approx(4.0)


def test_a_gap_counts_when_it_overlaps_the_span() -> None:
    found = gaps([0.0, 1.0, 4.0, 4.5])
    assert longest_within(found, 0.2, 0.4) == 1.0
    assert longest_within(found, 0.5, 1.5) == 3.0
    assert longest_within(found, 5.0, 6.0) == 0.0
