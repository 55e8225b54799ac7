"""Adapters, and models with them merged in, written as files for other programs by a stage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import psutil
import structlog

from shammah.config import Config
from shammah.errors import Conflict, Shortage, UsageError
from shammah.files import require_new
from shammah.paths import Paths
from shammah.protocol import ExportEvent, ExportRequest
from shammah.publish import quantizations
from shammah.records import Base
from shammah_daemon import artefacts
from shammah_daemon.adapters import refusing
from shammah_daemon.bases import Bases
from shammah_daemon.library import Known, Library
from shammah_daemon.modelfile import modelfile
from shammah_daemon.stages import Stages

log = structlog.get_logger()

#: What a merged GGUF is quantized to where nothing is said: a type that keeps what was learned
#: (docs/architecture.md).
QUANTIZATION = "Q8_0"

#: The kinds with a GGUF model inside.
_WITH_MODEL = ("merged-gguf", "ollama")

_FLOAT32_BYTES = 4


class Exporting:
    """Writes adapters for other programs."""

    def __init__(
        self, paths: Paths, config: Config, bases: Bases, library: Library, stages: Stages
    ) -> None:
        self._paths = paths
        self._config = config
        self._bases = bases
        self._library = library
        self._stages = stages
        self._working: set[asyncio.Task[dict[str, Any]]] = set()

    async def export(self, request: ExportRequest) -> AsyncGenerator[ExportEvent, None]:
        """Progress, and at last what was written. Leaving early ends the work; nothing stays.

        Raises:
            NotFound: no such adapter.
            UsageError: the destination or the quantization is not usable, or the kind takes one
                adapter only.
            Conflict: the destination is there already, the base is not here, or the daemon stops.
            AdapterError, DamagedFile: an adapter cannot be read.
            Shortage, StorageError: there is too little memory or disk.
        """
        destination = self._destination(request)
        parts = [(await self._library.get(one.name), one.scale) for one in request.adapters]
        base = self._base_of([known for known, _ in parts])
        for known, _ in parts:
            for path, sha256 in known.files.items():
                await artefacts.check(known.folder / path, sha256)
        await artefacts.check(Path(base.gguf), base.sha256)
        wanted: dict[str, Any] = {
            "parts": [{"folder": str(known.peft), "scale": scale} for known, scale in parts],
            "destination": str(destination),
        }
        if request.kind == "merged-safetensors":
            arguments = await self._torch_stage(base)
        else:
            arguments = ["shammah.publish", "export"]
            wanted |= await self._described(request, base)
        async with aclosing(self._follow(arguments, wanted)) as events:
            async for event in events:
                yield event
        log.info("exported", kind=request.kind, adapters=[known.name for known, _ in parts])

    async def close(self) -> None:
        """End what is under way."""
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)

    async def _follow(
        self, arguments: list[str], request: dict[str, Any]
    ) -> AsyncGenerator[ExportEvent, None]:
        events: asyncio.Queue[ExportEvent | None] = asyncio.Queue()

        async def progress(fields: dict[str, Any]) -> None:
            events.put_nowait(ExportEvent(kind="progress", **fields))

        task = asyncio.create_task(self._stages.run(arguments, progress, request))
        task.add_done_callback(lambda _task: events.put_nowait(None))
        self._working.add(task)
        try:
            while event := await events.get():
                yield event
            if task.cancelled():
                raise Conflict("the daemon is stopping", hint="export it again once it runs")
            with refusing():
                made = task.result()
            yield ExportEvent(kind="done", fraction=1.0, **made)
        finally:
            task.cancel()
            await asyncio.wait([task])
            self._working.discard(task)

    def _destination(self, request: ExportRequest) -> Path:
        if request.quantization is not None:
            if request.kind not in _WITH_MODEL:
                raise UsageError(
                    f"{request.kind} has no quantization", hint="leave the quantization out"
                )
            quantizations.lookup(request.quantization)
        path = Path(request.destination)
        if not path.is_absolute() or "\0" in request.destination:
            raise UsageError("the destination must be an absolute path", hint="begin it with '/'")
        if path.resolve().is_relative_to(self._paths.data_dir.resolve()):
            raise UsageError(
                f"{path} is inside Shammah's own folder", hint="name a place outside of it"
            )
        try:
            require_new(path)
        except OSError as error:  # a name that is too long
            raise UsageError(f"the destination cannot be used: {error.strerror}") from error
        return path

    def _base_of(self, adapters: list[Known]) -> Base:
        """The base that all of them are for."""
        wanted = {known.base_sha256 for known in adapters}
        if len(wanted) > 1:
            names = ", ".join(sorted({known.base for known in adapters}))
            raise Conflict(
                f"the adapters are for different bases: {names}", hint="export them apart"
            )
        for name in self._bases.names():
            base = self._bases.get(name)
            if base.sha256 in wanted:
                return base
        raise Conflict(
            f"the base {adapters[0].base} is not here any more",
            hint="add it again with 'shammah model add PATH.gguf'",
        )

    async def _described(self, request: ExportRequest, base: Base) -> dict[str, Any]:
        """What the stage is told besides."""
        described: dict[str, Any] = {
            "kind": request.kind,
            "base": base.name,
            "base_gguf": base.gguf,
            "base_sha256": base.sha256,
        }
        if request.kind in _WITH_MODEL:
            described["quantization"] = request.quantization or QUANTIZATION
        if request.kind == "ollama":
            context = min(self._config.engine.context_tokens, base.context_tokens)
            described["modelfile"] = await asyncio.to_thread(
                modelfile, base, self._config.chat, context
            )
        return described

    async def _torch_stage(self, base: Base) -> list[str]:
        """The stage that merges with torch, which reads the base's training weights."""
        needed, free = _FLOAT32_BYTES * base.parameters, psutil.virtual_memory().available
        if needed > free:
            raise Shortage(
                f"merging {base.name} takes {needed / 1e9:.1f} GB of memory, "
                f"{free / 1e9:.1f} GB are free",
                hint="close other programs, or export it as merged-gguf, which takes little",
            )
        ground = self._bases.ground(base.name)
        if not ground.train.exists():
            await self._bases.groundwork(base)
        return ["shammah.training", "export", str(ground.folder)]
