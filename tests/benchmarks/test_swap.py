"""What a swap under load is made of."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from benchmarks.streams import gaps
from benchmarks.swap import Listener, Measured, Probe, section, summarize
from shammah.paths import Paths


def listener(arrivals: list[float], streams: int = 3, cut: int = 0) -> Listener:
    paths = Paths(Path("c"), Path("d"), Path("s"), Path("r"))
    return Listener(
        paths, offset=0, stop=threading.Event(), gaps=gaps(arrivals), streams=streams, cut=cut
    )


STEADY = [number / 10 for number in range(100)]


def swapped(version: int) -> Measured:
    """A swap from version 0 that was asked at 5.1 s; a stream of the old engine ran to 5.9 s."""
    return Measured(5.1, 5.2, 5.9, Probe(0.1, version=0), Probe(0.13, version=version))


def test_gaps_belong_to_the_swap_until_the_old_streams_have_ended() -> None:
    with_gap = [at for at in STEADY if not 5.45 < at < 5.75]
    result = summarize([listener(with_gap), listener(STEADY, cut=1)], [swapped(version=1)])
    [swap] = result.swaps
    assert swap.longest_gap_seconds == pytest.approx(0.4)
    assert swap.call_seconds == pytest.approx(0.1)
    assert result.usual_p99_gap_seconds == pytest.approx(0.1)
    assert (result.streams, result.cut, result.answered_by_old) == (6, 1, 0)
    assert ("added to the first request, median", "+30 ms", "<= +50 ms") in section(result).rows


def test_a_request_that_the_old_version_answers_is_counted() -> None:
    assert summarize([listener(STEADY)], [swapped(version=0)]).answered_by_old == 1
