"""Moves the pointer by hand: rollback, another base. The engine first, then the store.

A base that has lessons to learn first is moved to by a job.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from shammah.errors import BaseModelError, Conflict, DamagedFile, NotFound
from shammah.files import remove
from shammah.paths import Paths
from shammah.publish.manifest import VERSION_PREFIX
from shammah.records import Active, Job
from shammah.store.database import Store
from shammah.training.spec import JobSpec
from shammah_daemon.bases import Bases
from shammah_daemon.database import Database
from shammah_daemon.library import imported, loaded_versions
from shammah_daemon.servable import Servable, servable
from shammah_daemon.serving import Serving
from shammah_daemon.supervisor import Supervisor

log = structlog.get_logger()


class Models:
    """Chooses what serves."""

    def __init__(
        self,
        paths: Paths,
        database: Database,
        bases: Bases,
        serving: Serving,
        supervisor: Supervisor,
        moving_pointer: asyncio.Lock,
    ) -> None:
        self._paths = paths
        self._supervisor = supervisor
        self._database = database
        self._bases = bases
        self._serving = serving
        self._moving_pointer = moving_pointer  # held until the engine has followed

    async def set_up(self) -> None:
        """Know what the pointer says; at the very first start, register the embedded base."""
        await self._bases.find_moved()
        if await self._database.run(lambda store: store.pointer.active()) is None:
            base = await self._bases.ensure_embedded()
            await self._database.run(lambda store: store.pointer.move(Active(base.name, 0)))
        await self._want_active()

    async def load(self) -> None:
        """Load what the pointer says, or what can serve instead where its file is damaged or gone,
        and lay the ground for lessons in the background."""
        try:
            await self._want_active()
            async with self._serving.borrow():
                servable = self._serving.servable
        except DamagedFile as damage:
            servable = await self._fall_back(damage)
        if servable is not None:
            self._bases.begin_groundwork(self._bases.get(servable.active.base))

    async def rollback(self, number: int | None) -> Active:
        """Serve version `number`, of whichever base, or what was active before.

        Raises:
            NotFound: no such version.
            Conflict: nothing was active before, or a job is unfinished and the base would change.
        """
        target = await self._database.run(lambda store: _target(store, number))
        return await self._move(target)

    async def serve(self, active: Active) -> None:
        """Serve a version of the active base, or the base itself."""
        await self._move(active)

    async def delete_version(self, number: int) -> None:
        """Remove a version with its files; no rollback leads to it any more.

        Raises:
            NotFound: no such version.
            Conflict: it is active, or a quick lesson goes on from it.
        """
        await self._remove_files(number, lambda store: store.delete_version(number))

    async def prune_version(self, number: int) -> None:
        """Remove a version's files; it stays in the list, and no rollback leads to it any more.

        Raises:
            NotFound: no such version.
            Conflict: it is active, or a quick lesson goes on from it.
        """
        await self._remove_files(number, lambda store: store.prune_version(number))

    async def _remove_files(self, number: int, record: Callable[[Store], None]) -> None:
        async with self._moving_pointer:
            unfinished = await self._database.run(lambda store: _require_inactive(store, number))
            self._require_no_start(number, unfinished)
            # Files first: interrupted, the version is still listed and can be removed again.
            await asyncio.to_thread(remove, self._paths.version(number))
            await self._database.run(record)

    async def use_base(self, name: str, *, now: bool = False) -> Job | None:
        """Serve `name` and teach it from now on.

        At once, if its newest version, or the base itself, knows all that was taught, or with
        `now` whatever it knows. Otherwise once a job has taught it: that job is returned, and what
        serves goes on serving. Asked for the base in use, an unfinished move is given up.

        Raises:
            NotFound: no such base.
            Conflict: it would serve at once, but a job is unfinished.
        """
        base = self._bases.get(name)
        active, newest, waiting = await self._database.run(lambda store: _prospect(store, name))
        if active is not None and active.base == name:
            await self._supervisor.stay()
            return None
        if waiting and not now:
            return await self._supervisor.move(base)
        await self._supervisor.stay()
        await self._move(newest)
        return None

    async def remove_base(self, name: str) -> None:
        """Forget a base that is not in use and has no versions."""
        active, versions, unfinished = await self._database.run(
            lambda store: (store.pointer.active(), store.versions.list(), store.jobs.unfinished())
        )
        if active is not None and active.base == name:
            raise Conflict(f"the base {name!r} is in use", hint="use another one first")
        for job in unfinished:
            if job.base == name:
                raise Conflict(
                    f"job {job.id} teaches the base {name!r}",
                    hint=f"'shammah jobs cancel {job.id}' first",
                )
        taught = [str(v.number) for v in versions if v.base == name]
        if taught:
            raise Conflict(
                f"versions {', '.join(taught)} were taught on the base {name!r}",
                hint="they could not be taught again without it; it stays",
            )
        adapters = [known.name for known in imported(self._paths) if known.base == name]
        if adapters:
            raise Conflict(
                f"the adapter {adapters[0]} is for the base {name!r}",
                hint=f"'shammah adapters delete {adapters[0]}' first",
            )
        self._bases.remove(name)

    async def _want_active(self) -> None:
        """Let it serve once somebody asks. Raises what `servable` does."""
        active = await self._database.run(lambda store: store.pointer.active())
        if active is not None:
            self._serving.want(await self.servable(active))

    async def _move(self, active: Active) -> Active:
        """The engine first: a file that cannot be loaded must not become active."""
        await self._database.run(lambda store: _require_idle(store, active.base))
        async with self._moving_pointer:
            await self._serving.use(await self.servable(active))
            await self._database.run(lambda store: store.pointer.move(active))
        self._bases.begin_groundwork(self._bases.get(active.base))
        return active

    async def _fall_back(self, damage: DamagedFile) -> Servable | None:
        """Serve what served before, or the base, instead of a version whose file has changed.

        Raises:
            DamagedFile: they have changed, too, or there is nothing else.
        """
        for target in await self._database.run(_instead):
            try:
                await self._move(target)
            except (BaseModelError, Conflict, NotFound) as error:
                log.error("not served instead", version=target.version, problem=error.message)
                continue
            log.error("a damaged version does not serve", problem=damage.message)
            self._serving.remark(f"version {target.version} answers instead: {damage.message}")
            return self._serving.servable
        raise damage

    def _require_no_start(self, number: int, unfinished: Sequence[Job]) -> None:
        for job in unfinished:
            file = self._paths.job(job.id) / "job.json"
            if file.exists() and JobSpec.load(file).start_version == number:
                raise Conflict(
                    f"job {job.id} goes on from version {number}",
                    hint="wait for it, or 'shammah jobs cancel'",
                )

    async def servable(self, active: Active) -> Servable:
        """The file of a version.

        Raises:
            NotFound: there is no such version, or it was pruned.
            DamagedFile: its file is gone.
        """
        version = None
        if active.version:
            version = await self._database.run(lambda store: store.versions.get(active.version))
        base = self._bases.get(active.base)
        return await asyncio.to_thread(servable, self._paths, base, version)


def _target(store: Store, number: int | None) -> Active:
    if number is None:
        return store.pointer.previous()
    active = store.pointer.active()
    if active is None:
        raise NotFound(f"no version {number}: no model is set up")
    if number == 0:
        return Active(active.base, 0)
    return Active(store.versions.get(number).base, number)


def _instead(store: Store) -> list[Active]:
    """What may serve in the place of the active version, best first: no other base."""
    active = store.pointer.active()
    if active is None:
        return []
    others = [Active(active.base, 0)]
    with suppress(Conflict):
        others.insert(0, store.pointer.previous())
    return [one for one in others if one.base == active.base and one != active]


def _prospect(store: Store, base: str) -> tuple[Active | None, Active, int]:
    """What serves, what of `base` would, and how many examples that one was not taught."""
    there = (v.number for v in store.versions.list() if v.base == base and not v.pruned_at)
    newest = Active(base, next(there, 0))
    return store.pointer.active(), newest, store.examples.count_waiting(newest)


def _require_idle(store: Store, base: str) -> None:
    """A job of the former base would bring that base back when it ends."""
    active, unfinished = store.pointer.active(), store.jobs.unfinished()
    if unfinished and active is not None and active.base != base:
        raise Conflict(
            f"job {unfinished[0].id} is teaching {unfinished[0].base}",
            hint=f"wait for it, or 'shammah jobs cancel {unfinished[0].id}'",
        )


def _require_inactive(store: Store, number: int) -> list[Job]:
    """The unfinished jobs, if the version exists and does not serve."""
    store.pointer.require_inactive(Active(store.versions.get(number).base, number))
    if number in loaded_versions(store):
        raise Conflict(
            f"the adapter of version {number} is loaded",
            hint=f"'shammah adapters unload {VERSION_PREFIX}{number}' first",
        )
    return store.jobs.unfinished()
