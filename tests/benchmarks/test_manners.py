"""What is said of idling and of answers beside a lesson."""

from __future__ import annotations

from benchmarks.manners import Idle, Result, section
from benchmarks.streams import Timing


def timing(first_token_seconds: float, tokens_per_second: float) -> Timing:
    return Timing(first_token_seconds, tokens_per_second, tokens=96, prompt_tokens=40)


def test_the_share_is_of_medians_and_every_aim_is_named() -> None:
    found = Result(
        daemon=Idle(0.214, 101_000_000),
        engine=Idle(0.0, 350_000_000),
        alone=[timing(0.05, 100), timing(0.05, 120), timing(0.07, 110)],
        beside=[timing(0.06, 99)],
        help_seconds=[0.1, 0.12, 0.3],
    )
    rows = {row[0]: row[1:] for row in section(found).rows}
    assert rows["daemon, idle"] == ("0.21 %, 101 MB", "<= 0.5 %, 120 MB")
    assert rows["the share of it"] == ("90%", ">= 90%")
    assert rows["first token, a lesson trains"] == ("60 ms", "")
    assert rows["'shammah --help'"] == ("120 ms", "<= 150 ms")
