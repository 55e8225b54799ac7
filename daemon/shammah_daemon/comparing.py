"""Two versions answer the same question; a vote says which did better.

The active version answers with its own engine, another one with an engine of its own for as long
as it takes. Nothing of question and answers is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shammah.config import Config
from shammah.engine.handle import Engine
from shammah.engine.requests import Sampling
from shammah.errors import Conflict, UsageError
from shammah.protocol import ComparedAnswer, CompareRequest, Comparison, VoteRequest
from shammah.records import Active, Message
from shammah.store.database import Store
from shammah_daemon import artefacts
from shammah_daemon.chat import fit
from shammah_daemon.courtesy import Courtesy
from shammah_daemon.database import Database
from shammah_daemon.models import Models
from shammah_daemon.serving import Lease, Serving


class Comparing:
    """Asks versions side by side, one comparison at a time: each may take a second model."""

    def __init__(
        self,
        config: Config,
        database: Database,
        models: Models,
        serving: Serving,
        courtesy: Courtesy,
    ) -> None:
        self._config = config
        self._database = database
        self._models = models
        self._serving = serving
        self._courtesy = courtesy
        self._asking = asyncio.Lock()

    async def compare(self, request: CompareRequest) -> Comparison:
        """The greedy answers of two versions.

        Raises:
            NotFound: there is no such version.
            UsageError: both are the same.
            Conflict: memory does not hold another model, or nothing was active before.
        """
        first, second = await self._database.run(
            lambda store: contestants(store, request.first, request.second)
        )
        async with self._asking:
            return Comparison(
                first=await self._answer(first, request.question),
                second=await self._answer(second, request.question),
            )

    async def vote(self, request: VoteRequest) -> None:
        """Raises what `compare` raises for the same versions."""
        first, second = await self._database.run(
            lambda store: contestants(store, request.first, request.second)
        )
        await self._database.run(lambda store: store.votes.add(first, second, request.better))

    async def _answer(self, version: Active, question: str) -> ComparedAnswer:
        settings = self._config.chat
        messages = [Message(role="user", content=question)]
        if settings.system:
            messages.insert(0, Message(role="system", content=settings.system))
        async with self._lease(version) as lease:
            fitted = await fit(lease, messages, settings.max_tokens)
            text, _finished = await lease.engine.answer(
                fitted.prompt, Sampling(max_tokens=settings.max_tokens)
            )
        return ComparedAnswer(version=version.version, base=version.base, text=text)

    @asynccontextmanager
    async def _lease(self, version: Active) -> AsyncIterator[Lease]:
        serving = self._serving.servable
        if serving is not None and serving.active == version:
            async with self._serving.lease() as lease:
                yield lease
            return
        servable = await self._models.servable(version)
        if not self._serving.fits_beside(servable.size_bytes):
            raise Conflict(
                f"memory does not hold version {version.version} beside the one that serves "
                f"({servable.size_bytes / 1e9:.1f} GB)",
                hint="close other programs, or /rollback to it and ask there",
            )
        with self._courtesy.answering():
            await artefacts.check(servable.gguf, servable.sha256)
            engine = await Engine.start(servable.gguf, self._config.engine, slots=1)
            try:
                yield Lease(engine, version, servable.template)
            finally:
                await engine.close()


def contestants(store: Store, first: int | None, second: int | None) -> tuple[Active, Active]:
    """The two versions that are meant, in the order given.

    Raises:
        NotFound, Conflict, UsageError: see `Comparing.compare`.
    """
    active = store.pointer.active()
    if active is None:
        raise Conflict("no model is set up", hint="add one with 'shammah model add PATH.gguf'")
    named = [
        Active(store.versions.get(n).base, n) if n else None for n in (first, second)
    ]  # fmt: skip
    base = next((one.base for one in named if one), active.base)
    one, other = (
        None if number is None else version or Active(base, 0)
        for number, version in zip((first, second), named, strict=True)
    )
    other = other or active
    one = one or store.pointer.previous()
    if one == other:
        raise UsageError(
            f"version {one.version} cannot be compared with itself",
            hint="'shammah versions list' shows the others",
        )
    return one, other
