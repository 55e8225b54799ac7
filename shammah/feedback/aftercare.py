"""Whether a version should be taken back, given what the user said of its answers.

Pure: knows no store and no clock.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from shammah.records import Tally

#: So many taught examples that had to be corrected again speak against a version.
CORRECTED_AGAIN = 2

#: A rise of critical feedback is clear from this p on. It is looked at after every feedback, so it
#: is stricter than the usual 0.05; and fewer critical answers than this prove nothing.
SIGNIFICANCE = 0.01
LEAST_CRITICAL = 3


def trouble(corrected_again: Collection[int], now: Tally, before: Tally) -> str | None:
    """Why the active version should be taken back, as a clause; None where nothing speaks for it.

    Args:
        corrected_again: examples that it was taught and whose questions it answered wrongly.
        now: since it became active.
        before: in the time of the versions before it.
    """
    if len(corrected_again) >= CORRECTED_AGAIN:
        return f"{len(corrected_again)} lessons that it was taught had to be corrected again"
    if now.critical >= LEAST_CRITICAL and rise(now, before) < SIGNIFICANCE:
        return (
            f"{now.critical} of its {now.answers} answers were marked critical, "
            f"{before.critical} of {before.answers} before"
        )
    return None


def rise(now: Tally, before: Tally) -> float:
    """One-sided p that the share of critical answers has not risen (Fisher's exact test).

    The upper tail of the hypergeometric distribution: of all answers of both times, how likely it
    is that chance puts at least so many critical ones into the present time.
    """
    answers, critical = now.answers + before.answers, now.critical + before.critical
    most = min(critical, now.answers)
    tail = (
        _log_choose(critical, k)
        + _log_choose(answers - critical, now.answers - k)
        - _log_choose(answers, now.answers)
        for k in range(now.critical, most + 1)
        if now.answers - k <= answers - critical
    )
    return min(math.fsum(map(math.exp, tail)), 1.0)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
