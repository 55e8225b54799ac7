"""Backups that are damaged, hostile or interrupted: refused or finished, nothing in between."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from shammah.errors import BackupError, Conflict, ShammahError
from shammah.paths import Paths
from shammah.records import Turn
from shammah.store.database import Store
from shammah_daemon import archive, restore, staged
from shammah_daemon.backup import Backups
from shammah_daemon.database import Database
from shammah_daemon.lifecycle import only_daemon
from tests.running import home_in, scrubbed_environment


def remember(paths: Paths, answer: str) -> None:
    with closing(Store.open(paths.database)) as store:
        store.turns.add(
            Turn(
                id=f"chatcmpl-{answer}", created_at="2026-01-02T03:04:05+00:00", base="tiny",
                version=0, messages=[{"role": "user", "content": "Who?"}], answer=answer,
                finish_reason="stop", prompt_tokens=1, completion_tokens=1, injected=[],
            )
        )  # fmt: skip


def remembered(paths: Paths) -> str:
    with closing(Store.open(paths.database)) as store:
        turn = store.turns.newest()
        return turn.answer if turn else ""


@pytest.fixture
async def backup(tmp_path: Path) -> bytes:
    """Of a home with one turn, one base and settings."""
    paths = home_in(tmp_path / "first")
    paths.config_file.write_text("[learning]\nthreshold_examples = 3\n")
    paths.base("tiny").mkdir()
    (paths.base("tiny") / "base.json").write_text("{}")
    (paths.base("tiny") / "replay.jsonl").hardlink_to(paths.base("tiny") / "base.json")
    remember(paths, "before")
    database = Database(Store.open(paths.database))
    made = await Backups(paths, database).make(models=True)
    remember(paths, "later")
    database.close()
    assert [path.name for path in paths.data_dir.glob("backup-*")] == []
    return b"".join(made.pieces)


def put_back(paths: Paths, data: bytes, *, force: bool = False) -> None:
    restore.restore(paths, io.BytesIO(data), len(data), force=force)


def test_all_of_it_comes_back_as_it_was_then(home: Paths, backup: bytes) -> None:
    put_back(home, backup)
    assert remembered(home) == "before"
    assert "threshold_examples = 3" in home.config_file.read_text()
    assert (home.base("tiny") / "replay.jsonl").read_text() == "{}"
    assert not (home.data_dir / staged.ASIDE).exists()
    assert not (home.data_dir / staged.STAGED).exists()
    assert {oct(p.stat().st_mode & 0o077) for p in home.data_dir.rglob("*")} == {"0o0"}


def test_a_file_with_two_names_is_in_it_once(backup: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(backup)) as tar:
        links = [member.linkname for member in tar if member.islnk()]
    assert links == ["bases/tiny/base.json"]


def test_data_is_not_replaced_unasked(home: Paths, backup: bytes) -> None:
    remember(home, "mine")
    with pytest.raises(Conflict, match="there is data"):
        put_back(home, backup)
    assert remembered(home) == "mine"
    put_back(home, backup, force=True)
    assert remembered(home) == "before"


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9])
def test_a_damaged_backup_changes_nothing(home: Paths, backup: bytes, share: float) -> None:
    remember(home, "mine")
    at = max(int(len(backup) * share), 520)  # in the first file's contents, at least
    for damaged in (flipped(backup, at), backup[:at], b"", b"no archive at all" * 100):
        with pytest.raises(ShammahError):
            put_back(home, damaged, force=True)
    assert remembered(home) == "mine"
    assert not (home.data_dir / f"{staged.STAGED}.partial").exists()


def hostile(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    """A backup with one more member."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.size = kind, link, 1 if kind == tarfile.REGTYPE else 0
        tar.addfile(info, io.BytesIO(b"x"))
    return data.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        hostile("../evil"),
        hostile("/tmp/evil"),
        hostile("versions/1/../../../evil"),
        hostile("versions/1/.."),
        hostile("token"),
        hostile("bases/tiny/base.json", tarfile.SYMTYPE, "/etc/passwd"),
        hostile("bases/tiny/base.json", tarfile.LNKTYPE, "/etc/passwd"),
        hostile("bases/tiny", tarfile.DIRTYPE),
        hostile("bases/tiny/base.json", tarfile.CHRTYPE),
    ],
)
def test_a_hostile_backup_writes_nothing(home: Paths, tmp_path: Path, data: bytes) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BackupError):
        put_back(home, data)
    assert sorted(tmp_path.rglob("*")) == before


def test_one_of_a_newer_shammah_is_refused(home: Paths, tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    sources = [archive.Source("config.toml", tmp_path / "config.toml")]
    data = b"".join(archive.write(sources, {"format": archive.FORMAT + 1, "shammah": "9.0"}))
    with pytest.raises(BackupError, match=r"newer Shammah \(9\.0\)"):
        put_back(home, data)


def test_a_database_of_a_newer_shammah_is_refused(home: Paths, tmp_path: Path) -> None:
    other = home_in(tmp_path / "newer")
    with closing(Store.open(other.database)) as store:
        store._connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('shammah', 'from_the_future', '2030-01-01')"
        )
    other.config_file.touch()
    sources = [
        archive.Source("config.toml", other.config_file),
        archive.Source("shammah.db", other.database),
    ]
    with pytest.raises(ShammahError, match="newer Shammah"):
        put_back(home, b"".join(archive.write(sources, {"shammah": "9.0"})))


Step = Callable[..., object]


@pytest.mark.parametrize("steps", range(12))
def test_interrupted_anywhere_it_is_the_old_home_or_the_new_one(
    home: Paths, backup: bytes, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """The process ends after so many renames; the next start of the daemon finishes."""
    remember(home, "mine")
    home.config_file.write_text("[learning]\nthreshold_examples = 9\n")
    (home.data_dir / "shammah.db-wal").write_bytes(b"")
    left, real = steps, Path.replace

    def counted(path: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return real(path, target)

    monkeypatch.setattr(Path, "replace", counted)
    try:
        put_back(home, backup, force=True)
    except KeyboardInterrupt:
        committed = (home.data_dir / staged.STAGED).exists()
    else:
        committed = True
    monkeypatch.undo()
    home.create()
    staged.finish(home)
    assert remembered(home) == ("before" if committed else "mine")
    assert ("= 3" in home.config_file.read_text()) == committed
    assert (home.base("tiny") / "base.json").exists() == committed
    assert not list(home.data_dir.glob("*restore*"))


def test_the_program_refuses_while_a_daemon_holds_the_home(home: Paths, backup: bytes) -> None:
    file = home.data_dir.parent / "backup.tar"
    file.write_bytes(backup)
    with only_daemon(home):
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "shammah_daemon.restore", str(file)],
            env=scrubbed_environment() | {"SHAMMAH_HOME": str(home.data_dir)},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert ended.returncode == 2
    assert "another daemon is running" in ended.stderr
    assert not home.database.exists()


def test_the_list_has_every_file_with_its_hash(backup: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(backup)) as tar:
        *_, last = tar
        assert last.name == archive.MANIFEST
        listed = tar.extractfile(last)
        assert listed is not None
        manifest = json.loads(listed.read())
    assert set(manifest["files"]) == {
        "config.toml",
        "shammah.db",
        "bases/tiny/base.json",
        "bases/tiny/replay.jsonl",
    }
    assert all(len(entry["sha256"]) == 64 for entry in manifest["files"].values())
