"""Fires: at the night's time, and every minute for what was missed or waits. Keeps no due time.

A laptop that slept, a daemon that was off and a clock that was set all look alike from here: the
next look finds what is due by the store's table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from shammah.cron import next_after
from shammah.errors import ShammahError
from shammah_daemon.database import Database
from shammah_daemon.schedule.nights import consolidate_due

log = structlog.get_logger()

NAME = "consolidate"

#: A night that was missed, and a job that waits for a quiet machine, are looked at so often.
LOOK_SECONDS = 60

#: Says whether the night is dealt with.
Teach = Callable[[], Awaitable[bool]]


class Scheduler:
    """Has the night's lesson started when it is due."""

    def __init__(
        self,
        cron: str,
        database: Database,
        teach: Teach,
        look_again: Callable[[], Awaitable[object]],
        wall: Callable[[], datetime] = datetime.now,
    ) -> None:
        self._cron = cron
        self._database = database
        self._teach = teach
        self._look_again = look_again
        self._wall = wall
        self._looking = asyncio.Lock()  # the cron and the minute may fire together
        self._scheduler = AsyncIOScheduler(job_defaults={"coalesce": True, "max_instances": 1})

    async def run(self) -> None:
        """Look now, at the night's time, and every minute, for ever."""
        every_minute = IntervalTrigger(seconds=LOOK_SECONDS)
        now = datetime.now().astimezone()
        self._scheduler.add_job(self.look, every_minute, next_run_time=now)
        if self._cron:
            self._scheduler.add_job(self.look, CronTrigger.from_crontab(self._cron))
        self._scheduler.start()
        try:
            await asyncio.Event().wait()
        finally:
            self._scheduler.shutdown(wait=False)

    @property
    def next_night(self) -> datetime | None:
        """On the wall; None where there is none."""
        return next_after(self._cron, self._wall()) if self._cron else None

    async def look(self) -> None:
        """Start what is due. A failure is the disk's: the next look tries again."""
        async with self._looking:
            try:
                if self._cron:
                    await self._consolidate_if_due()
            except ShammahError as error:
                log.error("the night's lesson cannot be started", problem=error.message)
        try:
            await self._look_again()
        except ShammahError as error:
            log.error("the jobs cannot be looked at", problem=error.message)

    async def _consolidate_if_due(self) -> None:
        known = await self._database.run(
            lambda store: store.due_times.settled_until(NAME, self._cron)
        )
        night = consolidate_due(self._cron, known, self._wall())
        # The lesson first: cut off in between, the next look finds the unfinished job.
        if night.is_due and not await self._teach():
            return
        if night.settled_until != known:
            await self._database.run(
                lambda store: store.due_times.settle(NAME, self._cron, night.settled_until)
            )
