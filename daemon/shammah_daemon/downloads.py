"""What a base is made of where that comes from the Hugging Face hub: found, fetched, put in place.

The hub itself is asked in stage children (`shammah.hub`), which alone import its library. Knows no
model: only files.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shammah.files import remove
from shammah.hub.reference import Found, HubFile, is_reference
from shammah.paths import Paths
from shammah_daemon.stages import Progress, Stages

#: Inside `bases/`: so that it is counted, and on the same disk. No base can have that name.
FOLDER = ".downloads"

#: Inside a base's folder: its full-precision weights.
WEIGHTS = "weights"

#: How long what was not fetched to its end is kept.
KEPT_SECONDS = 30 * 86_400


@dataclass(frozen=True)
class Parts:
    """Where a base comes from: a reference was found on the hub, anything else is a path."""

    gguf: Path | Found
    weights: Path | Found | None

    @property
    def name(self) -> Path:
        """The GGUF file's."""
        return self.gguf if isinstance(self.gguf, Path) else Path(self.gguf.files[0].name)

    @property
    def found(self) -> list[Found]:
        return [part for part in (self.gguf, self.weights) if isinstance(part, Found)]

    @property
    def source(self) -> str | None:
        """A reference that means the same GGUF for ever; None where it was a path."""
        return self.gguf.source if isinstance(self.gguf, Found) else None

    @property
    def weights_source(self) -> str | None:
        """The same of the weights."""
        return self.weights.source if isinstance(self.weights, Found) else None


@dataclass(frozen=True)
class Placed:
    """The same on this machine."""

    gguf: Path
    weights: Path | None


class Downloads:
    """Fetches one thing at a time."""

    def __init__(self, paths: Paths, stages: Stages) -> None:
        self._folder = paths.bases / FOLDER
        self._stages = stages
        self._fetching = asyncio.Lock()

    async def find(self, path: str, weights: str | None) -> Parts:
        """What a base's path and weights mean; asks the hub for what are references.

        Raises:
            UsageError, NotFound, BaseModelError: there is no such thing there, or not one.
            HubError: the hub cannot be reached, or does not let us in.
        """
        return Parts(
            gguf=await self._find(path, weights=False) if is_reference(path) else Path(path),
            weights=await self._find(weights, weights=True)
            if weights and is_reference(weights)
            else Path(weights)
            if weights
            else None,
        )

    async def fetch(self, parts: Parts, base: Path, on_progress: Progress) -> Placed:
        """Fetch what was found and put it into the folder of the base; where everything lies then.

        Cancelled or broken off, what has arrived is kept for the next time.

        Raises:
            DiskFull: it does not fit; nothing is fetched then.
            HubError: the hub cannot be reached, or what it sent is not what it says.
        """
        gguf, weights = parts.gguf, parts.weights
        if isinstance(gguf, Found):
            await self._fetch(gguf, base, on_progress)
            gguf = base / Path(gguf.files[0].name).name
        if isinstance(weights, Found):
            await self._fetch(weights, base / WEIGHTS, on_progress)
            weights = base / WEIGHTS
        return Placed(gguf, weights)

    def forget(self, parts: Parts) -> None:
        """It is in its place, or of no use: nothing of it is kept here any more."""
        for found in parts.found:
            for file in found.files:
                remove(self._folder / file.identity)

    def prune(self) -> None:
        """Remove what nobody has gone on with for a long time."""
        if not self._folder.is_dir():
            return
        for file in list(self._folder.iterdir()):
            if time.time() - file.stat().st_mtime > KEPT_SECONDS:
                remove(file)

    async def _find(self, reference: str, *, weights: bool) -> Found:
        request = {"reference": reference, "weights": weights}
        return Found.of(await self._run("resolve", request, _ignore))

    async def _fetch(self, found: Found, target: Path, on_progress: Progress) -> None:
        async with self._fetching:
            request = {"found": found.as_dict(), "folder": str(self._folder)}
            await self._run("download", request, on_progress)
            await asyncio.to_thread(self._place, found.files, target)

    def _place(self, files: Sequence[HubFile], target: Path) -> None:
        """Links: what follows may fail, and then it need not be fetched again."""
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in files:
            _link(self._folder / file.identity, target / Path(file.name).name)

    async def _run(
        self, what: str, request: dict[str, Any], on_progress: Progress
    ) -> dict[str, Any]:
        return await self._stages.run(["shammah.hub", what], on_progress, request, online=True)


def _link(source: Path, target: Path) -> None:
    """A hard link, or a copy where the file system has none."""
    remove(target)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


async def _ignore(_fields: dict[str, Any]) -> None:
    """To ask takes a moment."""
