"""What goes into a backup: a copy of the database as it is now, and the files that belong to it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from shammah import __version__
from shammah.errors import Conflict
from shammah.files import PARTIAL, remove, storage_error
from shammah.paths import Paths
from shammah.records import Active, Version
from shammah.store.database import Store
from shammah_daemon import archive
from shammah_daemon.archive import Source
from shammah_daemon.database import Database
from shammah_daemon.joblog import KEPT
from shammah_daemon.library import names

#: How a copy under way is called in the data folder.
PREFIX = "backup-"

#: Of a base. What lessons need besides is made anew; the GGUF file is the user's own.
_BASE_FILES = ("base.json", "replay.jsonl")


@dataclass(frozen=True)
class Backup:
    """A backup that waits to be read, once."""

    size_bytes: int  # of the files in it
    pieces: Iterator[bytes]


class Backups:
    """Makes backups while the daemon works."""

    def __init__(self, paths: Paths, database: Database) -> None:
        self._paths = paths
        self._database = database

    async def make(self, *, models: bool) -> Backup:
        """Everything as it is now; without `models` it leaves the versions out, and the base
        serves where it is restored. Imported adapters are in it: nothing makes them anew.

        Raises:
            StorageError: there is no space for the copies of database and settings.
            Conflict: a version has lost its files.
        """
        folder = self._paths.data_dir / f"{PREFIX}{secrets.token_hex(4)}{PARTIAL}"
        try:
            await asyncio.to_thread(self._begin, folder)
            await self._database.copy_to(folder / archive.DATABASE)
            return await asyncio.to_thread(self._collect, folder, models)
        finally:
            remove(folder)

    def _begin(self, folder: Path) -> None:
        """Make the folder, for the user alone, with the settings as they are."""
        file = self._paths.config_file
        try:
            folder.mkdir(mode=0o700)
            (folder / archive.CONFIG).write_bytes(file.read_bytes() if file.exists() else b"")
        except OSError as error:
            raise storage_error(error, folder) from error

    def _collect(self, folder: Path, models: bool) -> Backup:
        copy, config = folder / archive.DATABASE, folder / archive.CONFIG
        with closing(Store.open(copy)) as store:
            if not models:
                _leave_versions(store)
            sources = self._files(store)
        # Opened before their folder goes: however the reading ends, nothing is left.
        opened = {path.name: path.open("rb") for path in (config, copy)}
        sources = [*(Source(name, file) for name, file in opened.items()), *sources]
        about = {
            "shammah": __version__,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "models": models,
        }
        size = sum(source.size_bytes for source in sources)
        return Backup(size, archive.write(sources, about))

    def _files(self, store: Store) -> list[Source]:
        """What the rows of `store` speak of: nothing that came later, no job that is under way."""
        unfinished = {str(job.id) for job in store.jobs.unfinished()}
        found = [
            self._paths.base(folder.name) / name
            for folder in sorted(self._paths.bases.iterdir())
            for name in _BASE_FILES
        ]
        for folder in sorted(self._paths.jobs.iterdir()):
            if folder.name not in unfinished:
                found += [folder / name for name in sorted(KEPT)]
        for name in names(self._paths):
            found += sorted(self._paths.adapter(name).rglob("*"))
        for version in store.versions.list():
            if version.number and not version.pruned_at:
                found += _version_files(self._paths.version(version.number), version)
        return [
            Source(str(path.relative_to(self._paths.data_dir)), path)
            for path in found
            if path.is_file()
        ]


def _version_files(folder: Path, version: Version) -> list[Path]:
    if not (folder / version.gguf).exists():
        raise Conflict(
            f"the files of version {version.number} are not there",
            hint=f"if it was not just deleted: 'shammah versions delete {version.number}'",
        )
    return sorted(folder.rglob("*"))


def _leave_versions(store: Store) -> None:
    """What was taught waits to be taught again."""
    active = store.pointer.active()
    if active is not None:
        store.pointer.move(Active(active.base, 0))
    for version in store.versions.list():
        if version.number:
            store.delete_version(version.number)
