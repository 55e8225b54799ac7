"""Lets a restored state, which lies complete beside the present one, take its place.

Knows nothing of what is in it but the names.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from shammah.files import PARTIAL, remove, sync, write_atomically
from shammah.paths import Paths
from shammah_daemon.archive import CONFIG, DATABASE, FOLDERS
from shammah_daemon.backup import PREFIX

#: In the data folder: the new state, complete and checked; and the former one until all is done.
STAGED = "restored"
ASIDE = "before-restore"


def finish(paths: Paths) -> None:
    """Let the staged state, if there is one, be the present one. Every step can be done again.

    The database comes last, with the two files that belong to the former one before it.
    """
    staged, aside = paths.data_dir / STAGED, paths.data_dir / ASIDE
    for left in [staged.with_name(STAGED + PARTIAL), *paths.data_dir.glob(f"{PREFIX}*{PARTIAL}")]:
        remove(left)
    if staged.is_dir():
        aside.mkdir(mode=0o700, exist_ok=True)
        for name in FOLDERS:
            _exchange(staged / name, paths.data_dir / name, aside / name)
        _exchange_config(staged / CONFIG, paths.config_file, aside / CONFIG)
        if (staged / DATABASE).exists():
            for name in (f"{DATABASE}-wal", f"{DATABASE}-shm"):
                if (paths.data_dir / name).exists():
                    (paths.data_dir / name).replace(aside / name)
        _exchange(staged / DATABASE, paths.database, aside / DATABASE)
        sync(paths.data_dir)
        remove(staged)
    remove(aside)


def _exchange(new: Path, place: Path, aside: Path) -> None:
    if not new.exists():
        return  # it was put there before an interruption
    if aside.exists():
        remove(place)  # an empty one, made since
    elif place.exists():
        place.replace(aside)
    new.replace(place)


def _exchange_config(new: Path, place: Path, aside: Path) -> None:
    """The same where the two may be on different file systems."""
    if not new.exists():
        return
    if place.exists() and not aside.exists():
        shutil.copy2(place, aside)
    write_atomically(place, new.read_bytes())
    new.unlink()
