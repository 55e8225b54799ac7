"""When the night's lesson is due: once a night, whatever clocks and laptops do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shammah_daemon.schedule.nights import consolidate_due, worth_a_night

NIGHTLY = "0 3 * * *"

#: Summer time in both hemispheres, half an hour of it, one that begins at midnight, and none.
ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Africa/Cairo",
    "Asia/Kolkata",
)

#: Also inside the hours that come twice or never.
NIGHTS = st.builds("{} {} * * *".format, st.integers(0, 59), st.integers(0, 4))

DAY = timedelta(days=1)
STEP = timedelta(minutes=20)  # between two looks of a daemon that runs

#: Each case looks at the clock some hundred times.
FEW = settings(max_examples=40, deadline=None)


def started(cron: str, walls: Iterable[datetime]) -> list[datetime]:
    """The wall times at which a lesson is started by a daemon that looks at these."""
    settled = None
    found = []
    for wall in walls:
        night = consolidate_due(cron, settled, wall)
        settled = night.settled_until
        if night.is_due:
            found.append(wall)
    return found


def wall(zone: str, moment: datetime) -> datetime:
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def night_of(cron: str, at: datetime) -> datetime:
    """The newest time named by a daily `cron` at or before a wall time."""
    minute, hour, *_ = map(int, cron.split()[:2])
    due = at.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return due if due <= at else due - DAY


@st.composite
def looks(draw: st.DrawFn) -> tuple[str, list[datetime]]:
    """A zone, and moments around a change of its clocks with gaps of seconds up to days."""
    zone = draw(st.sampled_from(ZONES))
    month, day = draw(st.sampled_from([(3, 27), (10, 30), (9, 5), (4, 2), (11, 5), (10, 23)]))
    moment = datetime(2022, month, day, tzinfo=UTC)
    gaps = draw(st.lists(st.integers(1, 3 * 86_400), min_size=2, max_size=30))
    moments = [moment]
    for seconds in gaps:
        moments.append(moments[-1] + timedelta(seconds=seconds))
    return zone, moments


@settings(deadline=None)
@given(NIGHTS, looks())
def test_each_night_is_started_once_and_missed_ones_once_together(
    cron: str, found: tuple[str, list[datetime]]
) -> None:
    zone, moments = found
    walls = [wall(zone, moment) for moment in moments]
    starts = started(cron, walls)
    nights = Counter(night_of(cron, at) for at in starts)
    assert all(number == 1 for number in nights.values())
    # Whoever looks in a later night than ever before, starts: nothing that is due is lost.
    newest = night_of(cron, walls[0])
    expected = []
    for at in walls[1:]:
        if night_of(cron, at) > newest:
            newest = night_of(cron, at)
            expected.append(at)
    assert starts == expected


@FEW
@given(NIGHTS, st.sampled_from(ZONES), st.integers(0, 364))
def test_a_daemon_that_runs_starts_each_night_at_its_time_or_when_the_skipped_hour_ends(
    cron: str, zone: str, day: int
) -> None:
    begin = datetime(2026, 1, 1, 12, tzinfo=UTC) + day * DAY
    walls = [wall(zone, begin + number * STEP) for number in range(2 * DAY // STEP)]
    starts = started(cron, walls)
    assert len(starts) == 2
    for at in starts:
        assert at - night_of(cron, at) <= timedelta(hours=1) + STEP


@settings(deadline=None)
@given(st.integers(1, 400))
def test_a_daemon_that_was_off_makes_up_for_all_its_nights_with_one(days: int) -> None:
    now = datetime(2026, 5, 4, 12)
    back = now + days * DAY
    assert started(NIGHTLY, [now, back, back + timedelta(minutes=1)]) == [back]


@FEW
@given(st.integers(0, DAY // STEP), st.integers(0, DAY // STEP))
def test_a_clock_that_jumps_a_day_ahead_and_back_starts_no_night_twice(
    ahead_at: int, back_after: int
) -> None:
    """Ahead, tomorrow's night is started; when its time really comes, it is not started again."""
    begin = datetime(2026, 5, 4, 12)
    walls = []
    for number in range(3 * DAY // STEP):
        jumped = ahead_at <= number < ahead_at + back_after
        walls.append(begin + number * STEP + jumped * DAY)
    nights = Counter(night_of(NIGHTLY, at) for at in started(NIGHTLY, walls))
    assert set(nights.values()) == {1}
    assert {datetime(2026, 5, 6, 3), datetime(2026, 5, 7, 3)} <= set(nights)


def test_a_clock_that_was_a_year_ahead_does_not_silence_a_year_of_nights() -> None:
    now = datetime(2026, 5, 4, 12)
    tomorrow = datetime(2026, 5, 5, 3)
    assert started(NIGHTLY, [now, now + 365 * DAY, now, tomorrow]) == [now + 365 * DAY, tomorrow]


def test_nothing_is_made_up_for_the_time_before_the_first_look() -> None:
    assert started(NIGHTLY, [datetime(2026, 5, 4, 12)]) == []


@pytest.mark.parametrize(
    ("ready", "fresh", "quick_since", "worth"),
    [
        (5, 2, False, True),
        (5, 0, False, False),
        (0, 0, False, False),
        (0, 0, True, False),
        (5, 0, True, True),
    ],
)
def test_a_night_with_nothing_to_teach_starts_nothing(
    ready: int, fresh: int, quick_since: bool, worth: bool
) -> None:
    assert worth_a_night(ready, fresh, quick_since) is worth
