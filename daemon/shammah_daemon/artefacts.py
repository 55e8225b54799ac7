"""Whether a file is still what was recorded of it; asked before anything is loaded from it.

Knows no model. What was hashed is remembered by the file's identity, so that a swap or an engine
that starts again does not read 100 MB anew; a daemon that starts does.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from shammah.errors import DamagedFile
from shammah.files import sha256_of

_HINT = "put the file back, or serve another: 'shammah versions rollback', 'shammah model use'"


async def check(path: Path, sha256: str) -> None:
    """Make sure that `path` has the content with that hash. Takes 0.1 s for 100 MB, once.

    Raises:
        DamagedFile: it has another, or cannot be read.
    """
    try:
        found = await asyncio.to_thread(digest, path)
    except OSError as error:
        raise DamagedFile(f"cannot read {path}: {error.strerror}", hint=_HINT) from error
    if found != sha256:
        raise DamagedFile(
            f"{path} is not the file that it was: its sha256 begins with {found[:12]}, "
            f"recorded is {sha256[:12]}",
            hint=_HINT,
        )


def digest(path: Path) -> str:
    """The file's sha256; computed again when its inode, size or time has changed."""
    status = path.stat()
    return _digest(_File(path, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))


@dataclass(frozen=True)
class _File:
    """A file by what it is, whatever it is called: a version's files are hard links to a job's."""

    path: Path = field(compare=False)
    device: int
    inode: int
    size_bytes: int
    mtime_ns: int


@lru_cache(maxsize=256)
def _digest(file: _File) -> str:
    return sha256_of(file.path)
