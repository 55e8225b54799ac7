"""The models that clients may name, and the engines behind the names. Knows no chat.

`shammah` is whatever serves, `base` the active base without its lessons, `shammah@N` version N of
the active base.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from shammah.completions import ACTIVE_MODEL, BASE_MODEL, ModelCard
from shammah.errors import EngineError, ModelNotFound
from shammah.records import Active, Version
from shammah.store.database import Store
from shammah_daemon.database import Database
from shammah_daemon.guest import Guest
from shammah_daemon.serving import Lease, Serving

_NUMBERED = re.compile(rf"{ACTIVE_MODEL}@([1-9][0-9]{{0,8}})")


class Naming:
    """Lends engines by the names of models."""

    def __init__(self, database: Database, serving: Serving, guest: Guest) -> None:
        self._database = database
        self._serving = serving
        self._guest = guest

    async def cards(self) -> list[ModelCard]:
        """Every model that can be named, the active one first."""
        return await self._database.run(cards)

    async def version_of(self, model: str) -> Active | None:
        """What the name means now; None: whatever serves.

        Raises:
            ModelNotFound: it means nothing.
        """
        return await self._database.run(lambda store: version_of(store, model))

    @asynccontextmanager
    async def lease(self, model: str) -> AsyncIterator[Lease]:
        """An engine for one answer.

        Raises:
            ModelNotFound: the name means nothing.
            EngineError, BaseModelError, Conflict: there is no engine for it.
        """
        version = await self.version_of(model)
        lending = self._serving.lease() if version is None else self._guest.lease(version)
        async with lending as lease:
            yield lease


def version_of(store: Store, model: str) -> Active | None:
    """See `Naming.version_of`."""
    if model == ACTIVE_MODEL:
        return None
    active = store.pointer.active()
    if active is None:
        raise EngineError("no model is set up", hint="add one with 'shammah model add PATH.gguf'")
    if model == BASE_MODEL:
        return Active(active.base, 0)
    numbered = _NUMBERED.fullmatch(model)
    number = int(numbered[1]) if numbered else 0
    if any(one.number == number for one in _there(store, active.base)):
        return Active(active.base, number)
    raise ModelNotFound(
        f"the model {model!r} does not exist", hint="GET /v1/models lists those that do"
    )


def cards(store: Store) -> list[ModelCard]:
    """See `Naming.cards`; a version is as old as its promotion."""
    active = store.pointer.active()
    versions = _there(store, active.base) if active else []
    created = {one.number: _seconds(one.created_at) for one in versions}
    serving = created.get(active.version, 0) if active else 0
    return [
        ModelCard(id=ACTIVE_MODEL, created=serving),
        ModelCard(id=BASE_MODEL, created=0),
        *(ModelCard(id=f"{ACTIVE_MODEL}@{n}", created=at) for n, at in created.items()),
    ]


def _there(store: Store, base: str) -> list[Version]:
    """The versions of a base that have their files, newest first."""
    return [one for one in store.versions.list() if one.base == base and not one.pruned_at]


def _seconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp())
