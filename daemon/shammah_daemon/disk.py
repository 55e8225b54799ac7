"""What takes how much disk in the home. A file with several names counts once, where it lasts
longest: a version's files are hard links into the folder of its job. Removes nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from shammah.paths import Paths

_BLOCK_BYTES = 512  # of st_blocks, whatever the file system's own are (stat(2))


@dataclass(frozen=True)
class Disk:
    """Bytes on the disk of the home."""

    database_bytes: int
    bases_bytes: int
    jobs_bytes: int
    versions_bytes: int
    adapters_bytes: int
    logs_bytes: int
    free_bytes: int
    by_version: dict[int, int]  # of `versions_bytes`


def measure(paths: Paths) -> Disk:
    """Looks at every file once; what vanishes meanwhile is not counted."""
    seen: set[tuple[int, int]] = set()
    by_version = {
        int(folder.name): size_of([folder], seen)
        for folder in sorted(paths.versions.iterdir())
        if folder.name.isdecimal()
    }
    versions = sum(by_version.values()) + size_of([paths.versions], seen)
    return Disk(
        database_bytes=size_of(paths.data_dir.glob(f"{paths.database.name}*"), seen),
        bases_bytes=size_of([paths.bases], seen),
        versions_bytes=versions,
        adapters_bytes=size_of([paths.adapters], seen),
        jobs_bytes=size_of([paths.jobs], seen),
        logs_bytes=size_of([paths.logs], seen),
        free_bytes=shutil.disk_usage(paths.data_dir).free,
        by_version=by_version,
    )


def size_of(places: Iterable[Path], seen: set[tuple[int, int]]) -> int:
    """Bytes of all files there that are not among `seen`, by device and inode; they are added."""
    total = 0
    for place in places:
        for path in _files(place):
            try:
                found = path.lstat()
            except OSError:
                continue
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                total += found.st_blocks * _BLOCK_BYTES
    return total


def _files(place: Path) -> Iterator[Path]:
    if not place.is_dir():
        yield place
        return
    for folder, _, names in os.walk(place):
        for name in names:
            yield Path(folder, name)
