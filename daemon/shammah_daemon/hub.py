"""Job events for whoever listens: written to the store first, then announced. Knows no HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Literal

from shammah import records
from shammah.protocol import JobEvent
from shammah_daemon.database import Database


class Hub:
    """Publishes events and lets listeners follow them without missing one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._news = asyncio.Condition()

    async def publish(
        self, job_id: int, kind: Literal["state", "progress"], data: dict[str, Any]
    ) -> None:
        await self._database.run(lambda store: store.events.append(job_id, kind, data))
        async with self._news:
            self._news.notify_all()

    async def follow(self, job_id: int | None, after: int) -> AsyncIterator[JobEvent]:
        """Events of a job until it ends, or of all jobs for ever; `after=-1`: only new ones."""
        if after < 0:
            after = await self._database.run(lambda store: store.events.newest_id())
        while True:
            events = await self._after(after, job_id)
            for event in events:
                after = event.id
                yield JobEvent.model_validate(event, from_attributes=True)
            if job_id is not None and not events:
                job = await self._database.run(lambda store: store.jobs.get(job_id))
                if job.state.is_final:
                    return
            await self._wait(after)

    async def _after(self, after: int, job_id: int | None) -> list[records.JobEvent]:
        return await self._database.run(lambda store: store.events.after(after, job_id))

    async def _wait(self, after: int) -> None:
        """Until there is an event that is newer than `after`."""
        async with self._news:
            if await self._database.run(lambda store: store.events.newest_id()) == after:
                await self._news.wait()
