"""Job events for whoever listens: written to the store first, then announced. Knows no HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Literal

from shammah import records
from shammah.protocol import JobEvent
from shammah.records import JobState
from shammah_daemon.database import Database

#: How long to wait for the announcement of a job that has ended; a daemon that was killed in
#: between never made it.
LAST_EVENT_SECONDS = 2.0


class Hub:
    """Publishes events and lets listeners follow them without missing one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._news = asyncio.Condition()
        self._closed = False

    async def publish(
        self, job_id: int, kind: Literal["state", "progress"], data: dict[str, Any]
    ) -> None:
        try:
            await self._database.run(lambda store: store.events.append(job_id, kind, data))
        finally:  # what could not be recorded may have been a job's end
            async with self._news:
                self._news.notify_all()

    async def close(self) -> None:
        """The daemon ends: so does whoever follows."""
        self._closed = True
        async with self._news:
            self._news.notify_all()

    async def states(self, job_id: int) -> list[JobEvent]:
        """The states that a job has entered so far."""
        events = await self._after(0, job_id)
        return [
            JobEvent.model_validate(event, from_attributes=True)
            for event in events
            if event.kind == "state"
        ]

    async def follow(self, job_id: int | None, after: int) -> AsyncIterator[JobEvent]:
        """Events of a job until it ends, or of all jobs for ever; `after=-1`: only new ones."""
        if after < 0:
            after = await self._newest()
        while not self._closed:
            seen = await self._newest()
            events = await self._after(after, job_id)
            for event in events:
                after = event.id
                yield JobEvent.model_validate(event, from_attributes=True)
            if any(_is_end(event) for event in events) and job_id is not None:
                return
            if events or not await self._has_ended(job_id):
                await self._wait(seen)
                continue
            try:  # a job's end is in the store a moment before it is announced
                async with asyncio.timeout(LAST_EVENT_SECONDS):
                    await self._wait(seen)
            except TimeoutError:
                return

    async def _after(self, after: int, job_id: int | None) -> list[records.JobEvent]:
        return await self._database.run(lambda store: store.events.after(after, job_id))

    async def _has_ended(self, job_id: int | None) -> bool:
        if job_id is None:
            return False
        job = await self._database.run(lambda store: store.jobs.get(job_id))
        return job.state.is_final

    async def _newest(self) -> int:
        return await self._database.run(lambda store: store.events.newest_id())

    async def _wait(self, seen: int) -> None:
        """Until there is an event of any job that is newer than `seen`."""
        async with self._news:
            if await self._newest() == seen and not self._closed:
                await self._news.wait()


def _is_end(event: records.JobEvent) -> bool:
    return event.kind == "state" and JobState(event.data["state"]).is_final
