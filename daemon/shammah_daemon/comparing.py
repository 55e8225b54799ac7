"""Two versions answer the same question; a vote says which did better.

Nothing of question and answers is kept.
"""

from __future__ import annotations

from shammah.config import ChatConfig
from shammah.engine.requests import Sampling
from shammah.errors import Conflict, UsageError
from shammah.protocol import ComparedAnswer, CompareRequest, Comparison, VoteRequest
from shammah.records import Active, Message
from shammah.store.database import Store
from shammah_daemon.chat import fit
from shammah_daemon.database import Database
from shammah_daemon.guest import Guest


class Comparing:
    """Asks versions side by side."""

    def __init__(
        self,
        config: ChatConfig,
        database: Database,
        guest: Guest,
    ) -> None:
        self._config = config
        self._database = database
        self._guest = guest

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
        settings = self._config
        messages = [Message(role="user", content=question)]
        if settings.system:
            messages.insert(0, Message(role="system", content=settings.system))
        async with self._guest.lease(version) as lease:
            fitted = await fit(lease, messages, settings.max_tokens)
            text, _finished = await lease.engine.answer(
                fitted.prompt, Sampling(max_tokens=settings.max_tokens)
            )
        return ComparedAnswer(version=version.version, base=version.base, text=text)


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
