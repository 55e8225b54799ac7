"""Moves the pointer by hand: rollback, another base. The engine first, then the store."""

from __future__ import annotations

from shammah.errors import Conflict, NotFound
from shammah.paths import Paths
from shammah.records import Active
from shammah.store.database import Store
from shammah_daemon.bases import Bases
from shammah_daemon.database import Database
from shammah_daemon.servable import Servable, servable
from shammah_daemon.serving import Serving


class Models:
    """Chooses what serves."""

    def __init__(self, paths: Paths, database: Database, bases: Bases, serving: Serving) -> None:
        self._paths = paths
        self._database = database
        self._bases = bases
        self._serving = serving

    async def set_up(self) -> None:
        """Know what the pointer says; at the very first start, register the embedded base."""
        active = await self._database.run(lambda store: store.pointer.active())
        if active is None:
            base = await self._bases.ensure_embedded()
            active = Active(base.name, 0)
            await self._database.run(lambda store: store.pointer.move(active))
        self._serving.want(await self._servable(active))

    async def load(self) -> None:
        """Load what is wanted, and lay the ground for lessons in the background."""
        async with self._serving.borrow():
            servable = self._serving.servable
        if servable is not None:
            self._bases.begin_groundwork(self._bases.get(servable.active.base))

    async def rollback(self, number: int | None) -> Active:
        """Serve version `number` of the active base, or what was active before.

        Raises:
            NotFound: no such version.
            Conflict: nothing was active before, or the version belongs to another base.
        """
        active = await self._database.run(lambda store: _target(store, number))
        return await self._move(active)

    async def use_base(self, name: str) -> Active:
        """Serve `name`: its newest version, or the base itself where nothing was taught yet."""
        base = self._bases.get(name)
        unfinished, versions = await self._database.run(
            lambda store: (store.jobs.unfinished(), store.versions.list())
        )
        if unfinished:
            raise Conflict(
                f"job {unfinished[0].id} is teaching {unfinished[0].base}",
                hint="wait for it, or 'shammah jobs cancel'",
            )
        newest = next((v.number for v in versions if v.base == name), 0)
        active = await self._move(Active(name, newest))
        self._bases.begin_groundwork(base)
        return active

    async def remove_base(self, name: str) -> None:
        """Forget a base that is not in use and has no versions."""
        active, versions = await self._database.run(
            lambda store: (store.pointer.active(), store.versions.list())
        )
        if active is not None and active.base == name:
            raise Conflict(f"the base {name!r} is in use", hint="use another one first")
        taught = [str(v.number) for v in versions if v.base == name]
        if taught:
            raise Conflict(
                f"versions {', '.join(taught)} were taught on the base {name!r}",
                hint="they could not be taught again without it; it stays",
            )
        self._bases.remove(name)

    async def _move(self, active: Active) -> Active:
        """The engine first: a file that cannot be loaded must not become active."""
        await self._serving.use(await self._servable(active))
        await self._database.run(lambda store: store.pointer.move(active))
        return active

    async def _servable(self, active: Active) -> Servable:
        version = None
        if active.version:
            version = await self._database.run(lambda store: store.versions.get(active.version))
        return servable(self._paths, self._bases.get(active.base), version)


def _target(store: Store, number: int | None) -> Active:
    if number is None:
        return store.pointer.previous()
    active = store.pointer.active()
    if active is None:
        raise NotFound(f"no version {number}: no model is set up")
    if number == 0:
        return Active(active.base, 0)
    version = store.versions.get(number)
    if version.base != active.base:
        raise Conflict(
            f"version {number} was taught on the base {version.base!r}, {active.base!r} is in use",
            hint=f"'shammah model use {version.base}' first",
        )
    return Active(version.base, number)
