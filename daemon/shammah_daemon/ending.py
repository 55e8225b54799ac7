"""How the daemon ends: everything is told at once, answers have a grace, nothing is left behind.

Knows the order, not the work: a stage leaves its checkpoint while answers still finish.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import structlog

from shammah.errors import EngineError
from shammah_daemon.services import Services
from shammah_daemon.stages import Stages

log = structlog.get_logger()

#: How long answers that are under way may take to finish. A stage has `stages.STOP_SECONDS` for its
#: checkpoint at the same time; with both one after the other it would still be under 20 seconds.
GRACE_SECONDS = 8

#: What an answer that is not finished then is told, in time for its client to read it.
STOPPING = EngineError(
    "the daemon is stopping: the answer is not complete", hint="ask again once it runs"
)


class Ending:
    """The end, told by a signal; a second signal means at once."""

    def __init__(self) -> None:
        self._told = asyncio.Event()
        self._hurried = asyncio.Event()
        self._cut = asyncio.Event()
        self._answered = asyncio.Event()

    def tell(self) -> None:
        """The daemon is to end; told again, without waiting for answers and checkpoints."""
        if self._told.is_set():
            self._hurried.set()
            self._cut.set()
        self._told.set()

    def answered(self) -> None:
        """No request is open any more."""
        self._told.set()
        self._cut.set()
        self._answered.set()

    async def carry_out(self, services: Services, work: Sequence[asyncio.Task[None]]) -> None:
        """Wait for the end and close everything; `work` is what runs as long as the daemon."""
        await self._told.wait()
        log.info("stopping", answers=services.serving.status().active_requests)
        services.systemd.stopping()
        await services.hub.close()
        for task in work:
            task.cancel()
        hurry = asyncio.create_task(self._hurry(services.stages))
        closing = asyncio.gather(
            *work,
            services.anticipation.close(),
            services.bases.close(),
            services.exporting.close(),
            return_exceptions=True,
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE_SECONDS):
                await self._cut.wait()
        services.serving.interrupt(STOPPING)
        services.guest.interrupt(STOPPING)
        await closing
        await self._answered.wait()
        hurry.cancel()
        await services.chat.close()
        await services.notices.close()
        await services.guest.close()
        await services.serving.close()
        services.database.close()
        services.systemd.close()
        log.info("stopped")

    async def _hurry(self, stages: Stages) -> None:
        await self._hurried.wait()
        stages.kill()
