"""Adapters by name: taken in, added to what serves, taken off it, removed. Knows no HTTP.

The work on files is a stage's (`python -m shammah.publish import`): this process reads no tensor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from shammah.errors import AdapterError, Conflict, EngineCrashed, JobError, NotFound, UsageError
from shammah.files import remove
from shammah.paths import Paths
from shammah.protocol import AdapterView, ImportAdapterRequest
from shammah.publish.manifest import Manifest, name_for
from shammah.records import Active, Applied, Base
from shammah_daemon import artefacts
from shammah_daemon.bases import Bases
from shammah_daemon.database import Database
from shammah_daemon.library import Known, Library, objection
from shammah_daemon.serving import Serving
from shammah_daemon.stages import ChildKilled, Stages

log = structlog.get_logger()


class Adapters:
    """What the user does with adapters."""

    def __init__(
        self,
        paths: Paths,
        database: Database,
        bases: Bases,
        serving: Serving,
        library: Library,
        stages: Stages,
    ) -> None:
        self._paths = paths
        self._database = database
        self._bases = bases
        self._serving = serving
        self._library = library
        self._stages = stages
        self._changing = asyncio.Lock()

    async def views(self) -> list[AdapterView]:
        """Those of the versions, newest first, then the imported ones by name."""
        found = await self._library.all()
        active, scales = await self._database.run(
            lambda store: (store.pointer.active(), store.loaded.all())
        )
        base = self._base(active)
        return [self._view(one, active, base, scales.get(one.name, {})) for one in found]

    async def get(self, name: str) -> AdapterView:
        """Raises NotFound."""
        await self._library.get(name)
        return next(one for one in await self.views() if one.name == name)

    async def take_in(self, request: ImportAdapterRequest) -> AdapterView:
        """Check a PEFT folder and copy it into the home.

        Raises:
            UsageError: the path or the name is not usable.
            NotFound: no such base.
            Conflict: the name is taken, or the adapter says that it is for another base.
            AdapterError: it cannot be read, is no plain LoRA, or is for another base.
        """
        source = Path(request.path)
        if not source.is_absolute():
            raise UsageError("the path of the adapter must be absolute", hint="begin it with '/'")
        name = name_for(source, request.name)
        async with self._changing:
            if self._paths.adapter(name).exists():
                raise Conflict(
                    f"there is an adapter called {name!r} already",
                    hint=f"use --name, or 'shammah adapters delete {name}' first",
                )
            base = await self._wanted_base(request.base)
            await artefacts.check(Path(base.gguf), base.sha256)
            made = await run_stage(
                self._stages,
                ["shammah.publish", "import"],
                {
                    "source": str(source),
                    "folder": str(self._paths.adapter(name)),
                    "name": name,
                    "base": base.name,
                    "base_gguf": base.gguf,
                    "base_sha256": base.sha256,
                    "other_bases": [one for one in self._bases.names() if one != base.name],
                    "created_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                },
            )
        log.info("adapter imported", adapter=name, base=base.name, rank=Manifest(**made).rank)
        return await self.get(name)

    async def load(self, name: str, scale: float) -> AdapterView:
        """Add it to what serves from the next answer on, or change its scale.

        Raises:
            NotFound: no such adapter.
            Conflict: nothing serves, or something that it is not for.
            DamagedFile: its file is not what was recorded of it.
            EngineError: llama.cpp refuses it; everything is as before.
        """
        async with self._changing:
            known = await self._library.get(name)
            async with self._serving.borrow() as lease:  # loads the model if it has to
                active = lease.active
            base = self._bases.get(active.base)
            if reason := objection(known, active, base.sha256):
                raise Conflict(f"{name} cannot be loaded: {reason}", hint=_way_out(known, active))
            await artefacts.check(known.gguf, known.sha256)
            before = await self._database.run(lambda store: store.loaded.on(active.base))
            await self._database.run(
                lambda store: store.loaded.put(base.name, Applied(name, scale))
            )
            try:
                await self._serving.apply()
            except BaseException:
                await self._restore(name, base.name, before)
                raise
        log.info("adapter loaded", adapter=name, base=base.name, scale=scale)
        return await self.get(name)

    async def unload(self, name: str) -> AdapterView:
        """Take it off what serves, from the next answer on.

        Raises:
            NotFound: no such adapter.
            Conflict: it is not loaded.
            EngineError: memory does not hold another context while answers are given.
        """
        async with self._changing:
            await self._library.get(name)
            before = await self._database.run(lambda store: store.loaded.all().get(name, {}))
            if not before:
                raise Conflict(
                    f"{name} is not loaded", hint="'shammah adapters list' shows which is"
                )
            await self._database.run(lambda store: store.loaded.remove(name))
            try:
                await self._serving.apply()
            except EngineCrashed:
                pass  # the engine that starts next is without it
            except BaseException:
                for base, scale in before.items():
                    await self._restore(name, base, [Applied(name, scale)])
                raise
        log.info("adapter unloaded", adapter=name)
        return await self.get(name)

    async def delete(self, name: str) -> None:
        """Remove an imported adapter with its files.

        Raises:
            NotFound: no such adapter.
            Conflict: it is loaded, or belongs to a version.
        """
        async with self._changing:
            known = await self._library.get(name)
            if known.version is not None:
                raise Conflict(
                    f"{name} belongs to version {known.version} and goes with it",
                    hint=f"'shammah versions delete {known.version}'",
                )
            if await self._database.run(lambda store: name in store.loaded.all()):
                raise Conflict(f"{name} is loaded", hint=f"'shammah adapters unload {name}' first")
            await asyncio.to_thread(remove, self._paths.adapter(name))
        log.info("adapter deleted", adapter=name)

    async def _restore(self, name: str, base: str, before: list[Applied]) -> None:
        """What was loaded under this name before, and nothing else."""
        former = next((one for one in before if one.name == name), None)
        if former is None:
            await self._database.run(lambda store: store.loaded.remove(name))
        else:
            await self._database.run(lambda store: store.loaded.put(base, former))

    async def _wanted_base(self, name: str | None) -> Base:
        if name is None:
            active = await self._database.run(lambda store: store.pointer.active())
            if active is None:
                raise Conflict(
                    "no model is set up", hint="add one with 'shammah model add PATH.gguf'"
                )
            name = active.base
        return self._bases.get(name)

    def _base(self, active: Active | None) -> Base | None:
        """The active base; None where its folder is gone."""
        try:
            return self._bases.get(active.base) if active else None
        except NotFound:
            return None

    def _view(
        self, known: Known, active: Active | None, base: Base | None, scales: dict[str, float]
    ) -> AdapterView:
        view = AdapterView.model_validate(known, from_attributes=True)
        if active is None or base is None:
            return view.model_copy(update={"problem": "nothing serves"})
        problem = objection(known, active, base.sha256)
        scale = scales.get(base.name)
        return view.model_copy(
            update={
                "problem": problem,
                "scale": scale,
                "loaded": Applied(known.name, scale or 0.0) in self._serving.adapters,
            }
        )


async def run_stage(
    stages: Stages, arguments: list[str], request: dict[str, Any]
) -> dict[str, Any]:
    """What a stage that works on adapters has made; shows no progress.

    Raises:
        AdapterError: the stage's own refusal.
        ChildKilled: the child ended without a result.
    """
    with refusing():
        return await stages.run(arguments, _ignore, request)


@contextmanager
def refusing() -> Iterator[None]:
    """A stage's refusal of an adapter as the caller's error, not the daemon's."""
    try:
        yield
    except ChildKilled:
        raise
    except JobError as error:
        raise AdapterError(error.message, hint=error.hint) from error


async def _ignore(_fields: dict[str, Any]) -> None:
    """An import takes a second."""


def _way_out(known: Known, active: Active) -> str:
    if not known.is_attachable:
        return f"'shammah adapters merge {known.name} --to FILE' writes a model with it"
    if known.base != active.base:
        return f"'shammah model use {known.base}' serves its base"
    return "'shammah versions rollback 0' serves the base itself"
