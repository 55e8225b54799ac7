"""Cron expressions: whether one is valid, and when it comes next. Knows no clock and no time zone.

Times are what a clock on the wall shows, without a zone. A cron expression means those.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

#: A year after which a date that comes at all has come: 29 February on a given weekday.
_SOME_DAY = datetime(2000, 1, 1)


def require_valid(expression: str) -> None:
    """Make sure that `expression` has five fields and comes some day.

    Raises:
        ValueError: it does not; says why.
    """
    weekdays = expression.split()[4:]
    if any(re.search(r"(?<!/)\d", field) for field in weekdays):
        # APScheduler counts from Monday, crontab(5) from Sunday: a number would surprise somebody.
        raise ValueError("name the days of the week: mon, tue, wed, thu, fri, sat, sun")
    if next_after(expression, _SOME_DAY) is None:
        raise ValueError(f"{expression!r} is a date that never comes")


def next_after(expression: str, wall: datetime) -> datetime | None:
    """The first time after `wall` that the expression names; None if there is none.

    Raises:
        ValueError: not a cron expression.
    """
    # Imported here: every command reads the settings, few ask for a time.
    from apscheduler.triggers.cron import CronTrigger

    # On a clock without summer time every wall time exists once, as cron wants it.
    trigger = CronTrigger.from_crontab(expression, timezone=UTC)
    moment = wall.replace(tzinfo=UTC)
    found: datetime | None = trigger.get_next_fire_time(moment, moment)
    return found.replace(tzinfo=None) if found else None
