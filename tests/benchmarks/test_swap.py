"""What a swap under load is made of."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from benchmarks.streams import gaps
from benchmarks.swap import AFTER_SECONDS, Listener, Probe, section, summarize
from shammah.paths import Paths


def listener(arrivals: list[float], streams: int = 3, cut: int = 0) -> Listener:
    paths = Paths(Path("c"), Path("d"), Path("s"), Path("r"))
    return Listener(
        paths, offset=0, stop=threading.Event(), gaps=gaps(arrivals), streams=streams, cut=cut
    )


def test_gaps_belong_to_the_swap_they_overlap() -> None:
    steady = [number / 10 for number in range(100)]
    arrivals = [at for at in steady if not 5.0 < at < 5.4]
    measured = [((5.1, 5.2), Probe(0.1, version=0), Probe(0.13, version=1))]
    result = summarize([listener(arrivals), listener(steady, cut=1)], measured)
    [swap] = result.swaps
    assert swap.longest_gap_seconds == pytest.approx(0.4)
    assert swap.call_seconds == pytest.approx(0.1)
    assert result.usual_p99_gap_seconds == pytest.approx(0.1)
    assert (result.streams, result.cut, result.answered_by_old) == (6, 1, 0)
    assert ("added to the first request, median", "+30 ms", "<= +50 ms") in section(result).rows


def test_a_request_that_the_old_version_answers_is_counted() -> None:
    steady = [number / 10 for number in range(100)]
    measured = [((5.1, 5.1 + AFTER_SECONDS), Probe(0.1, version=0), Probe(0.1, version=0))]
    assert summarize([listener(steady)], measured).answered_by_old == 1
