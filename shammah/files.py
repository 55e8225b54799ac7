"""Writing files so that a reader sees the old or the new one, never a part; knows no format."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shammah.errors import Conflict, DiskFull, StorageError, UsageError

#: Everything under construction ends so, next to its final name.
PARTIAL = ".partial"


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by `data`: written beside it, synced, renamed; mode 0600."""
    with building(path) as partial:
        partial.write_bytes(data)


@contextmanager
def building(path: Path) -> Iterator[Path]:
    """A path to build a file or a folder at; becomes `path` when the block ends well.

    Raises:
        StorageError: the disk is full or the place is not writable; nothing is left behind.
    """
    partial = path.with_name(path.name + PARTIAL)
    remove(partial)
    try:
        yield partial
        for made in [partial, *(partial.rglob("*") if partial.is_dir() else ())]:
            made.chmod(0o700 if made.is_dir() else 0o600)
            sync(made)
        if path.is_dir():
            shutil.rmtree(path)
        partial.replace(path)
        sync(path.parent)
    except OSError as error:
        remove(partial)
        raise storage_error(error, path) from error
    except BaseException:
        remove(partial)
        raise


@contextmanager
def creating(destination: Path) -> Iterator[Path]:
    """A path to build a file or folder at, which then becomes `destination`. Unlike `building`, for
    places outside the home: nothing that is there is touched.

    Raises:
        Conflict: something is there already, also if it came meanwhile.
        UsageError: there is no folder to put it in.
        StorageError: the disk is full or the place is not writable; nothing is left behind.
    """
    require_new(destination)
    try:
        own = Path(tempfile.mkdtemp(prefix=".shammah-", dir=destination.parent))
    except OSError as error:
        raise storage_error(error, destination) from error
    try:
        with building(own / "made") as path:
            yield path
        require_new(destination)
        (own / "made").rename(destination)
        sync(destination.parent)
    finally:
        remove(own)


def require_new(destination: Path) -> None:
    """Make sure that something can be put there, and that nothing is.

    Raises:
        Conflict, UsageError: see `creating`.
    """
    if not destination.parent.is_dir():
        raise UsageError(
            f"there is no folder {destination.parent}", hint="make it, or name another place"
        )
    if destination.exists() or destination.is_symlink():
        raise Conflict(
            f"{destination} is there already, and nothing is overwritten",
            hint="name another place, or remove it first",
        )


def storage_error(error: OSError, path: Path) -> StorageError:
    """The clear form of an OSError met while writing `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(path.parent).free
        return DiskFull(
            f"the disk is full: {free / 1e6:.0f} MB free while writing {path}",
            hint="free some space; the active model keeps serving",
        )
    return StorageError(f"cannot write {path}: {error.strerror}", hint="check the folder's rights")


def require_space(folder: Path, size_bytes: int) -> None:
    """Make sure that `size_bytes` more fit on the disk of `folder`.

    Raises:
        DiskFull: they do not; says how many are free.
    """
    free = shutil.disk_usage(folder).free
    if free < size_bytes:
        raise DiskFull(
            f"{size_bytes / 1e6:.0f} MB are needed in {folder} and {free / 1e6:.0f} MB are free",
            hint="free some space; the active model keeps serving",
        )


def sync(path: Path) -> None:
    """fsync a file or a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_partials(folder: Path) -> None:
    """Remove what was under construction in `folder` when its builder was killed."""
    for path in list(folder.rglob("*" + PARTIAL)):
        remove(path)


def sha256_of(path: Path) -> str:
    """The file's sha256 as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
