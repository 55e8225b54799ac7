"""What a running job lets the world know: recorded in the store, then announced."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog

from shammah.files import remove
from shammah.paths import Paths
from shammah.records import Job, JobState
from shammah_daemon.database import Database
from shammah_daemon.hub import Hub
from shammah_daemon.outcome import summary_of

log = structlog.get_logger()

#: Progress is recorded no more often than this.
PROGRESS_SECONDS = 0.3

#: What stays of a finished job's folder.
KEPT = frozenset({"job.json", "log.jsonl", "report.json", "train.json", "tensorboard"})


class JobLog:
    """States, progress and ends of jobs."""

    def __init__(self, paths: Paths, database: Database, hub: Hub) -> None:
        self._paths = paths
        self._database = database
        self._hub = hub
        self.observers: list[Callable[[Job], None]] = []  # of every change of state
        self.account: Callable[[Job], Awaitable[Job]] | None = None  # of what has ended

    async def enter(self, job: Job, state: JobState) -> None:
        """The job goes on to `state`."""
        changed = await self._database.run(lambda store: store.jobs.update(job.id, state=state))
        await self.announce(changed)

    def progress(self, job: Job) -> Callable[[dict[str, Any]], Awaitable[None]]:
        """What records how far the job is."""
        last = 0.0

        async def record(fields: dict[str, Any]) -> None:
            nonlocal last
            now = asyncio.get_running_loop().time()
            if now - last < PROGRESS_SECONDS and fields["fraction"] < 1:
                return
            last = now
            await self._database.run(lambda store: store.jobs.update(job.id, progress=fields))
            await self._hub.publish(job.id, "progress", fields)

        return record

    async def ended(self, job: Job) -> None:
        """The store knows the job's end."""
        if self.account:
            job = await self.account(job)
        await asyncio.to_thread(self._clear, job)
        await self.announce(job)
        await self._database.run(lambda store: store.events.thin_out(job.id))

    def _clear(self, job: Job) -> None:
        """Remove the job's large files, and the version that it has built but not promoted."""
        tidy(self._paths.job(job.id))
        if job.version and job.state is not JobState.PROMOTED:
            with contextlib.suppress(OSError):
                remove(self._paths.version(job.version))

    async def announce(self, job: Job) -> None:
        """Say the job's state to who listens."""
        log.info("job", job=job.id, state=job.state, version=job.version, error=job.error)
        for observe in self.observers:
            observe(job)
        await self._hub.publish(
            job.id,
            "state",
            {
                "state": job.state,
                "summary": summary_of(job),
                "version": job.version,
                "error": job.error,
                "hint": job.hint,
            },
        )


def tidy(folder: Path) -> None:
    """Remove a finished job's large files."""
    if folder.is_dir():
        for path in folder.iterdir():
            if path.name not in KEPT:
                with contextlib.suppress(OSError):
                    remove(path)
