"""What a lesson is made of."""

from __future__ import annotations

from shammah_daemon.lesson import FEW_EXAMPLES, MANY_EXAMPLES, share_of_replay


def test_few_examples_take_half_of_the_replay_and_many_all_of_it() -> None:
    assert share_of_replay(1) == share_of_replay(FEW_EXAMPLES) == 0.5
    assert 0.5 < share_of_replay(FEW_EXAMPLES + 1) < share_of_replay(MANY_EXAMPLES - 1) < 1
    assert share_of_replay(MANY_EXAMPLES) == share_of_replay(10_000) == 1
