"""Whether the night's lesson is due. Pure: knows no clock, no database and no time zone.

Times are what a clock on the wall shows. On it, the hour that summer time skips is passed at once,
and the hour that comes twice was dealt with the first time: so each night comes once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from shammah.cron import next_after

#: A time that was dealt with lies further ahead than a journey around the world can put it: the
#: clock was wrong then.
FURTHEST_AHEAD = timedelta(hours=26)


@dataclass(frozen=True)
class Night:
    """What the clock says about the night."""

    is_due: bool
    settled_until: datetime  # what to remember once it is dealt with


def consolidate_due(cron: str, settled_until: datetime | None, now: datetime) -> Night:
    """Whether a time that `cron` names has come since `settled_until`: however many have, once.

    Args:
        cron: not empty.
        settled_until: None before the first look: nothing is made up for the time before.
        now: on the wall.
    """
    if settled_until is None or settled_until > now + FURTHEST_AHEAD:
        return Night(False, now)
    following = next_after(cron, settled_until)
    if following is None or following > now:
        return Night(False, settled_until)
    return Night(True, now)


def worth_a_night(ready: int, fresh: int, quick_since: bool) -> bool:
    """Whether there is anything that a lesson from the pristine base would teach.

    Args:
        ready: examples that would be taught.
        fresh: those of them, and what is to be unlearned, that no finished lesson has tried.
        quick_since: the active version comes of a quick lesson, and no lesson from the pristine
            base has been tried on it since.
    """
    return ready > 0 and (fresh > 0 or quick_since)
