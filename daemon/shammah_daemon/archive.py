"""The file of a backup: a tar that ends with a list of what is in it, with sizes and sha256.

The list comes last, so that everything is read once, and a file that was cut short has none. Knows
which names may be in it; knows no store.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from shammah.errors import BackupError

#: Counts up when an older Shammah could not restore the file any more.
FORMAT = 1

MANIFEST = "manifest.json"
CONFIG = "config.toml"
DATABASE = "shammah.db"
FOLDERS = ("bases", "jobs", "versions", "adapters")

_PART = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
_ALLOWED = re.compile(
    rf"config\.toml|shammah\.db|bases/{_PART}/{_PART}|(jobs|versions)/[0-9]+/{_PART}(/{_PART})?"
    rf"|adapters/{_PART}/{_PART}(/{_PART})?"
)

_CHUNK_BYTES = 1 << 20

#: A list of so many files would be longer than any home's.
_MANIFEST_LIMIT_BYTES = 64 << 20


@dataclass(frozen=True)
class Source:
    """A file to put in, by its name there. An open one is closed when it is in."""

    name: str
    origin: Path | BinaryIO

    @property
    def size_bytes(self) -> int:
        if isinstance(self.origin, Path):
            return self.origin.stat().st_size
        return os.fstat(self.origin.fileno()).st_size

    def open(self) -> BinaryIO:
        return self.origin.open("rb") if isinstance(self.origin, Path) else self.origin


@dataclass(frozen=True)
class Entry:
    """A file as the list has it."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Contents:
    """What a backup says of itself, checked against what is in it."""

    about: Mapping[str, Any]
    files: Mapping[str, Entry]


def write(sources: Sequence[Source], about: Mapping[str, Any]) -> Iterator[bytes]:
    """The bytes of a backup, in pieces. A file with several names is in it once."""
    entries: dict[str, Entry] = {}
    names: dict[tuple[int, int], str] = {}
    for source in sources:
        with source.open() as file:
            stat = os.fstat(file.fileno())
            first = names.setdefault((stat.st_dev, stat.st_ino), source.name)
            if first != source.name:
                entries[source.name] = entries[first]
                yield _header(source.name, 0, stat.st_mtime, link=first)
                continue
            yield _header(source.name, stat.st_size, stat.st_mtime)
            digest = hashlib.sha256()
            for piece in _pieces(file, stat.st_size):
                digest.update(piece)
                yield piece
            yield _padding(stat.st_size)
            entries[source.name] = Entry(stat.st_size, digest.hexdigest())
    manifest = {
        "format": FORMAT,
        **about,
        "files": {name: vars(entry) for name, entry in entries.items()},
    }
    text = json.dumps(manifest, indent=1).encode()
    yield _header(MANIFEST, len(text), 0.0) + text + _padding(len(text))
    yield bytes(2 * tarfile.BLOCKSIZE)


def read(file: BinaryIO, folder: Path) -> Contents:
    """Put everything into `folder`, which is new and empty.

    Only files with names that a backup has are written, under names made here: tarfile's own
    extraction allows more than that.

    Raises:
        BackupError: damaged, cut short, from a newer Shammah, or with anything in it that a backup
            has not.
    """
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            return _read(tar, folder)
    except (tarfile.TarError, EOFError, ValueError, KeyError, TypeError) as error:
        raise BackupError(
            f"the backup is damaged: {error or type(error).__name__}", hint="nothing was changed"
        ) from error


def _read(tar: tarfile.TarFile, folder: Path) -> Contents:
    found: dict[str, Entry] = {}
    for member in tar:
        if member.name == MANIFEST:
            manifest = json.loads(_manifest_text(tar, member))
            if tar.next() is not None:
                raise ValueError("something follows its list")
            return _checked(manifest, found)
        if not _ALLOWED.fullmatch(member.name) or member.name in found:
            raise ValueError(f"it holds {member.name!r}")
        target = folder / member.name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if member.islnk() and member.linkname in found:
            target.hardlink_to(folder / member.linkname)
            found[member.name] = found[member.linkname]
        elif member.isreg() and not member.issparse():
            found[member.name] = _extract(tar, member, target)
        else:
            raise ValueError(f"{member.name!r} is no file")
    raise ValueError("it was cut short")


def _manifest_text(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if not member.isreg() or member.size > _MANIFEST_LIMIT_BYTES:
        raise ValueError("its list is no list")
    file = tar.extractfile(member)
    assert file is not None
    return file.read()


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> Entry:
    source = tar.extractfile(member)
    assert source is not None
    digest = hashlib.sha256()
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        for piece in _pieces(source, member.size):
            digest.update(piece)
            out.write(piece)
    return Entry(member.size, digest.hexdigest())


def _checked(manifest: dict[str, Any], found: Mapping[str, Entry]) -> Contents:
    if manifest["format"] > FORMAT:
        raise BackupError(
            f"the backup was made by a newer Shammah ({manifest['shammah']})",
            hint="update Shammah, then restore it; nothing was changed",
        )
    listed = {name: Entry(**entry) for name, entry in manifest.pop("files").items()}
    if wrong := sorted(n for n in {*listed, *found} if listed.get(n) != found.get(n)):
        raise ValueError(f"{wrong[0]} is not as it was put in")
    return Contents(manifest, found)


def _header(name: str, size: int, time: float, link: str | None = None) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, int(time), 0o600
    if link is not None:
        info.type, info.linkname = tarfile.LNKTYPE, link
    return info.tobuf(tarfile.PAX_FORMAT)


def _pieces(file: Any, size: int) -> Iterator[bytes]:
    """Exactly `size` bytes; raises EOFError where there are fewer."""
    while size:
        piece = file.read(min(size, _CHUNK_BYTES))
        if not piece:
            raise EOFError("a file ends too early")
        size -= len(piece)
        yield piece


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)
