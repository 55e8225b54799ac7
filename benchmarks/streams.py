"""What the arrival times of a streamed answer say: first token, speed, gaps. Knows no stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Timing:
    """One answer as whoever asked saw it."""

    first_token_seconds: float
    tokens_per_second: float  # of the tokens after the first
    tokens: int
    prompt_tokens: int


def timing(asked: float, arrivals: Sequence[float], tokens: int, prompt_tokens: int) -> Timing:
    """From the arrival times of the pieces of an answer of at least two tokens.

    Args:
        asked: when the request was sent, on the same clock as `arrivals`.
    """
    return Timing(
        first_token_seconds=arrivals[0] - asked,
        tokens_per_second=(tokens - 1) / (arrivals[-1] - arrivals[0]),
        tokens=tokens,
        prompt_tokens=prompt_tokens,
    )


def gaps(arrivals: Sequence[float]) -> list[tuple[float, float]]:
    """(start, end) between each piece and the next."""
    return list(pairwise(arrivals))


def longest_within(gaps: Sequence[tuple[float, float]], start: float, end: float) -> float:
    """Seconds of the longest gap that overlaps [start, end]; 0 without one."""
    return max((b - a for a, b in gaps if a < end and b > start), default=0.0)
