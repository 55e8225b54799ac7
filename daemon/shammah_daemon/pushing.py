"""Pushes a version's adapter to the Hugging Face hub; what may be said of it is decided here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shammah.bases import embedded
from shammah.errors import Conflict, NotFound
from shammah.hub.card import About
from shammah.hub.reference import parse, parse_repository
from shammah.paths import Paths
from shammah.protocol import PushReceipt, PushRequest
from shammah.publish import ADAPTER_FILE, ADAPTER_FOLDER
from shammah.records import Base, Version
from shammah.store.database import Store
from shammah_daemon.bases import Bases, ignore_progress
from shammah_daemon.database import Database
from shammah_daemon.stages import Stages


class Pushing:
    """Lets a stage child push what a version has."""

    def __init__(self, paths: Paths, database: Database, bases: Bases, stages: Stages) -> None:
        self._paths = paths
        self._database = database
        self._bases = bases
        self._stages = stages

    async def push_version(self, number: int, request: PushRequest) -> PushReceipt:
        """Put the adapter of a version into a repository, which is made if there is none.

        Raises:
            UsageError: the repository is not named as hf:OWNER/NAME.
            NotFound: no such version, or it has no files any more.
            Conflict: it knows what was forgotten, or the repository is public and that is not
                wanted.
            HubError: the hub cannot be reached, or does not let us.
        """
        parse_repository(request.repository)
        version, taught = await self._database.run(lambda store: _pushable(store, number))
        folder = self._paths.version(number)
        pushed = await self.push(
            folder / ADAPTER_FOLDER,
            folder / ADAPTER_FILE,
            about(self._bases.get(version.base), version, taught),
            request,
            message=f"Version {number}",
        )
        return PushReceipt(version=number, **pushed)

    async def push(
        self, adapter: Path, gguf: Path, about: About, request: PushRequest, message: str
    ) -> dict[str, Any]:
        """Push a PEFT folder, and its GGUF form if there is one; the fields of a `Pushed`.

        Args:
            message: of the commit, where the request has none.
        """
        wanted = {
            "adapter": str(adapter),
            "repository": parse_repository(request.repository),
            "about": vars(about),
            "gguf": str(gguf) if gguf.is_file() else None,
            "public": request.public,
            "message": request.message or message,
        }
        return await self._stages.run(["shammah.hub", "push"], ignore_progress, wanted, online=True)


def about(base: Base, version: Version, examples: int) -> About:
    """What the model card says. No path: where things lie here is nobody's business."""
    return About(
        title=f"{base.name}, version {version.number}",
        base=base.name,
        base_repository=repository_of(base),
        base_source=base.source or Path(base.gguf).name,
        base_sha256=base.sha256,
        examples=examples,
        shammah=version.manifest.get("shammah", ""),
    )


def repository_of(base: Base) -> str | None:
    """The repository with the weights that PEFT can load beside an adapter, as far as is known."""
    if base.name == embedded.NAME:
        return embedded.REPOSITORY
    return parse(base.weights_source).repository if base.weights_source else None


def _pushable(store: Store, number: int) -> tuple[Version, int]:
    """The version, and how many examples it was taught."""
    if number == 0:
        raise NotFound("version 0 is the base itself: it has no adapter")
    version = store.versions.get(number)
    if version.pruned_at:
        raise NotFound(
            f"version {number} was pruned on {version.pruned_at[:10]}: its files are gone",
            hint="'shammah versions list' shows those that are kept",
        )
    if store.versions.holds_forgotten(number):
        raise Conflict(
            f"version {number} was taught what you had it forget since",
            hint="push a version that was made after that",
        )
    return version, len(store.versions.taught(number))
