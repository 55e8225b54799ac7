"""Which versions keep their files, and removing those of the others. Rows stay as history."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import structlog

from shammah.errors import Conflict
from shammah.paths import Paths
from shammah.records import Verdict, Version
from shammah.store.database import Store
from shammah_daemon import disk
from shammah_daemon.database import Database
from shammah_daemon.library import loaded_versions
from shammah_daemon.models import Models

log = structlog.get_logger()


@dataclass(frozen=True)
class Plan:
    """What a pruning does."""

    kept: dict[int, str]  # by version, why
    pruned: list[int]  # oldest first
    freed_bytes: int


class Pruning:
    """Removes the files of versions that are not worth their disk."""

    def __init__(self, paths: Paths, keep: int, database: Database, models: Models) -> None:
        self._paths = paths
        self._keep = keep
        self._database = database
        self._models = models

    async def after_job(self) -> None:
        """Keep what the settings say."""
        if self._keep:
            await self.prune()

    async def plan(self, keep: int | None = None) -> Plan:
        """What `prune` would do.

        Args:
            keep: newest versions of each base; else as the settings say.
        """
        versions, needed, loaded = await self._database.run(_situation)
        wanted = keep or self._keep or len(versions)
        kept = kept_versions(versions, wanted, needed)
        kept |= {v.number: "its adapter is loaded" for v in versions if v.number in loaded}
        pruned = sorted(version.number for version in versions if version.number not in kept)
        folders = [self._paths.version(number) for number in pruned]
        freed = await asyncio.to_thread(disk.size_of, folders, set())
        return Plan(kept, pruned, freed)

    async def prune(self, keep: int | None = None) -> Plan:
        """Remove the files of what is not kept."""
        plan = await self.plan(keep)
        done = []
        for number in plan.pruned:
            try:
                await self._models.prune_version(number)
            except Conflict as error:  # in use since the plan was made
                log.info("version not pruned", version=number, reason=error.message)
                continue
            done.append(number)
        if done:
            log.info("versions pruned", versions=done, freed_bytes=plan.freed_bytes)
        return Plan(plan.kept, done, plan.freed_bytes)


def kept_versions(
    versions: Iterable[Version], newest: int, needed: Collection[int]
) -> dict[int, str]:
    """Why a version is kept, by its number: for each base the newest ones and the best, besides
    what is needed. Pure."""
    by_base: dict[str, list[Version]] = {}
    for version in versions:
        by_base.setdefault(version.base, []).append(version)
    kept: dict[int, str] = {}
    for of_base in by_base.values():
        kept[max(of_base, key=_worth).number] = "best"
        for version in sorted(of_base, key=lambda version: -version.number)[:newest]:
            kept.setdefault(version.number, "newest")
        kept |= {
            v.number: "active or where a rollback leads" for v in of_base if v.number in needed
        }
    return kept


def _worth(version: Version) -> tuple[int, float, int]:
    """The best version is the one whose gate found the most lessons to hold; of those the one that
    moved least from its base; of those the newest."""
    verdicts = version.report["verdicts"]
    held = sum(item["verdict"] == Verdict.LEARNED for item in verdicts)
    return held, -version.report["kl_mean"], version.number


def _situation(store: Store) -> tuple[Sequence[Version], set[int], set[int]]:
    """The versions that have their files, and the numbers of those that must keep them: because
    they serve or may, and because their adapters are loaded."""
    versions = [version for version in store.versions.list() if version.pruned_at is None]
    active = store.pointer.active()
    needed = {active.version} if active else set()
    with contextlib.suppress(Conflict):
        needed.add(store.pointer.previous().version)
    return versions, needed, loaded_versions(store)
