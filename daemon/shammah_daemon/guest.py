"""The second engine: answers as a version that is not active, for as long as somebody asks it.

One at a time: whoever asks for another version waits for the answers of the one before. It serves
the version's own file, the very one that the gate has judged. Knows no chat and no HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from shammah.config import EngineConfig
from shammah.engine.handle import Engine
from shammah.errors import Conflict, ShammahError
from shammah.records import Active
from shammah_daemon import artefacts
from shammah_daemon.courtesy import Courtesy
from shammah_daemon.models import Models
from shammah_daemon.servable import Servable
from shammah_daemon.serving import Lease, Serving

log = structlog.get_logger()


class Guest:
    """Lends the engine of any version: the serving one where it is that version, else its own."""

    def __init__(
        self, config: EngineConfig, models: Models, serving: Serving, courtesy: Courtesy
    ) -> None:
        self._config = config
        self._models = models
        self._serving = serving
        self._courtesy = courtesy
        self._changing = asyncio.Lock()  # fair: nobody waits for ever for a version to be left
        self._engine: Engine | None = None
        self._servable: Servable | None = None
        self._leases = 0
        self._free = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def lease(self, version: Active) -> AsyncIterator[Lease]:
        """An engine with `version` for one answer; background work waits meanwhile.

        Raises:
            NotFound: there is no such version, or it was pruned.
            BaseModelError: its file is gone, damaged, or cannot be loaded.
            Conflict: memory does not hold a second model.
        """
        serving = self._serving.servable
        if serving is not None and serving.active == version:
            async with self._serving.lease(bare=True) as lease:
                if lease.active == version:
                    yield lease
                    return
        servable = await self._models.servable(version)
        with self._courtesy.answering():
            async with self._changing:
                engine = await self._engine_of(servable)
                self._leases += 1
                self._cancel_timer()
            try:
                async with self._serving.sharing_cores(engine):
                    yield Lease(engine, version, servable.template)
            finally:
                self._leases -= 1
                if self._leases == 0:
                    self._free.set()
                    self._end_later()

    def interrupt(self, reason: ShammahError) -> None:
        """End every answer; who waits for one gets `reason`."""
        if self._engine:
            self._engine.interrupt(reason)

    async def close(self) -> None:
        async with self._changing:
            self._cancel_timer()
            await _close(self._leave())
            await asyncio.gather(*self._ending)

    async def _engine_of(self, servable: Servable) -> Engine:
        if self._engine and self._engine.alive and self._servable == servable:
            return self._engine
        while self._leases:
            self._free.clear()
            await self._free.wait()
        await _close(self._leave())
        if not self._serving.fits_beside(servable.size_bytes):
            raise Conflict(
                f"memory does not hold version {servable.active.version} beside the one that "
                f"serves ({servable.size_bytes / 1e9:.1f} GB)",
                hint="close other programs, or /rollback to it and ask there",
            )
        await artefacts.check(servable.gguf, servable.sha256)
        self._engine = await Engine.start(servable.gguf, self._config)
        self._servable = servable
        log.info("second engine", base=servable.active.base, version=servable.active.version)
        return self._engine

    def _end_later(self) -> None:
        self._cancel_timer()
        seconds = self._config.second_idle_seconds
        self._timer = asyncio.get_running_loop().call_later(seconds, self._end_if_idle)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end_if_idle(self) -> None:
        if not self._leases and not self._changing.locked():  # else somebody has come
            task = asyncio.create_task(_close(self._leave()))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    def _leave(self) -> Engine | None:
        """The engine, which nobody gets any more."""
        engine, self._engine, self._servable = self._engine, None, None
        return engine


async def _close(engine: Engine | None) -> None:
    if engine is not None:
        await engine.close()
