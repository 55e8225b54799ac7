"""`python -m shammah_daemon.restore FILE [--force]`: a backup takes the place of what is there.

Runs instead of the daemon, under the same lock. Everything is unpacked and checked beside the
present state. The rename of that folder to `restored` decides: killed before it, the former state
is untouched; killed after it, the next start of the daemon or of this program finishes.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.progress import open as open_with_progress

from shammah import config
from shammah.bases import embedded
from shammah.bases.registry import Registry
from shammah.errors import BackupError, Conflict, ShammahError, UsageError
from shammah.files import building, require_space
from shammah.paths import Paths
from shammah.store.database import Store
from shammah_daemon import archive
from shammah_daemon.archive import CONFIG, DATABASE, FOLDERS, Contents
from shammah_daemon.lifecycle import only_daemon
from shammah_daemon.staged import STAGED, finish


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m shammah_daemon.restore")
    parser.add_argument("file", type=Path)
    parser.add_argument("--force", action="store_true")
    options = parser.parse_args(arguments)
    paths = Paths.from_environment()
    try:
        paths.create()
        with only_daemon(paths), _opened(options.file) as file:
            restore(paths, file, options.file.stat().st_size, force=options.force)
        for base in missing_bases(paths):
            print(f"the file of the base {base} is not on this machine", file=sys.stderr)
            if source := Registry(paths).get(base).source:
                again = f"shammah model add {source} --name {base}"
                print(f"hint: '{again}' fetches it, then 'shammah daemon restart'", file=sys.stderr)
    except ShammahError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)


def restore(paths: Paths, file: BinaryIO, size_bytes: int, *, force: bool) -> None:
    """Put the backup in `file` in the place of the home's data; all of it or nothing.

    Raises:
        Conflict: there is data, and not `force`.
        BackupError: the file cannot be restored from.
        StorageError: it does not fit, or the disk fails.
    """
    finish(paths)
    if not force:
        _require_no_data(paths)
    require_space(paths.data_dir, size_bytes)
    with building(paths.data_dir / STAGED) as partial:
        partial.mkdir(mode=0o700)
        check(archive.read(file, partial), partial)
        for name in FOLDERS:
            (partial / name).mkdir(exist_ok=True)
    finish(paths)


def check(contents: Contents, folder: Path) -> None:
    """That the unpacked backup is one that the daemon can work with.

    Raises:
        BackupError: its database is damaged, or a version's files are not those that were promoted.
        StorageError: a newer Shammah made it.
        ConfigError: its settings are not known here.
    """
    for name in (CONFIG, DATABASE):
        if name not in contents.files:
            raise BackupError(f"the backup has no {name}", hint="nothing was changed")
    config.load(folder / CONFIG)
    with closing(Store.open(folder / DATABASE)) as store:
        problems = store.integrity_check()
        versions = [v for v in store.versions.list() if v.number and not v.pruned_at]
    if problems:
        raise BackupError(
            f"the database in the backup is damaged: {problems[0]}", hint="nothing was changed"
        )
    for version in versions:
        entry = contents.files.get(f"versions/{version.number}/{version.gguf}")
        if entry is None or entry.sha256 != version.sha256:
            raise BackupError(
                f"version {version.number} in the backup is not the one that was promoted",
                hint="nothing was changed",
            )


def _require_no_data(paths: Paths) -> None:
    others = set(Registry(paths).names()) - {embedded.NAME}
    if others or _has_words(paths.database):
        raise Conflict(
            f"there is data in {paths.data_dir} already",
            hint="--force replaces it by the backup; make a backup of it before",
        )


def _has_words(database: Path) -> bool:
    if not database.exists():
        return False
    try:
        with closing(Store.open(database)) as store:
            return store.turns.newest() is not None
    except ShammahError:
        return True  # damaged, or a newer one's: not ours to throw away unasked


def missing_bases(paths: Paths) -> list[str]:
    """Bases whose GGUF file is not where it was; the embedded one is looked for by the daemon."""
    registry = Registry(paths)
    names = [name for name in registry.names() if name != embedded.NAME]
    return [name for name in names if not Path(registry.get(name).gguf).exists()]


def _opened(path: Path) -> AbstractContextManager[BinaryIO]:
    console = Console(stderr=True)
    try:
        return open_with_progress(
            path, "rb", description=f"restoring {path.name}", console=console, transient=True
        )
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


if __name__ == "__main__":
    main(sys.argv[1:])
