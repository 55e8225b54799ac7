"""Opening the file, and what happens when it cannot be read or written."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from shammah.errors import StorageError
from shammah.store.database import Store
from shammah.store.migrations import STEPS
from tests.store.filling import Filler

Open = Callable[[], Store]


def fill_the_disk(store: Store) -> None:
    """Let SQLite find no room for another page, as on a full disk."""
    pages = store._connection.value("PRAGMA page_count")
    store._connection.rows(f"PRAGMA max_page_count = {pages}")


def test_the_settings_keep_what_is_acknowledged(store: Store) -> None:
    wanted = {
        "journal_mode": "wal",
        "synchronous": 2,  # FULL
        "foreign_keys": 1,
        "secure_delete": 1,
        "busy_timeout": 5000,
    }
    assert {name: store._connection.value(f"PRAGMA {name}") for name in wanted} == wanted


def test_all_files_are_private(database: Path, store: Store, fill: Filler) -> None:
    fill.turn()
    modes = {file.name: file.stat().st_mode & 0o777 for file in database.parent.iterdir()}
    assert modes == {"shammah.db": 0o600, "shammah.db-wal": 0o600, "shammah.db-shm": 0o600}


def test_a_file_that_others_may_read_is_made_private(database: Path, open_store: Open) -> None:
    database.touch(mode=0o644)
    open_store().close()
    assert database.stat().st_mode & 0o777 == 0o600


def test_records_survive_reopening(store: Store, fill: Filler, open_store: Open) -> None:
    example = fill.example()
    store.close()
    with closing(open_store()) as reopened:
        assert reopened.examples.list() == [example]
        assert reopened.turns.get("turn-1").answer == "Port 80."


def test_another_thread_may_use_the_store(store: Store, fill: Filler) -> None:
    with ThreadPoolExecutor(max_workers=1) as worker:
        turn = worker.submit(fill.turn).result()
    assert store.turns.newest() == turn


def test_each_migration_is_recorded_once(open_store: Open, database: Path) -> None:
    open_store().close()
    open_store().close()
    with closing(sqlite3.connect(database)) as raw:
        names = [row[0] for row in raw.execute("SELECT name FROM _sqlite_migrations ORDER BY id")]
    assert names == [step.__name__ for step in STEPS]


def test_a_failing_migration_leaves_nothing_behind(
    open_store: Open, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_half_way(db: object) -> None:
        db.execute("CREATE TABLE half (id INTEGER)")  # type: ignore[attr-defined]
        raise ZeroDivisionError

    monkeypatch.setattr("shammah.store.migrations.STEPS", (*STEPS, break_half_way))
    with pytest.raises(ZeroDivisionError):
        open_store()
    monkeypatch.undo()
    with closing(open_store()) as store:
        assert store.integrity_check() == []
    with closing(sqlite3.connect(database)) as raw:
        assert not raw.execute("SELECT 1 FROM sqlite_schema WHERE name = 'half'").fetchall()


def test_a_database_of_a_newer_program_is_refused(open_store: Open, database: Path) -> None:
    open_store().close()
    with closing(sqlite3.connect(database)) as raw, raw:
        raw.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) "
            "VALUES ('shammah', 'add_telepathy', '2030-01-01')"
        )
    with pytest.raises(StorageError, match=r"newer Shammah.*add_telepathy"):
        open_store()


def test_a_file_that_is_no_database_is_refused(open_store: Open, database: Path) -> None:
    database.write_bytes(b"Dear diary, " * 1000)
    with pytest.raises(StorageError, match=r"not a Shammah database.*shammah\.db") as caught:
        open_store()
    assert "backup" in caught.value.hint
    assert database.read_bytes().startswith(b"Dear diary")


def test_a_damaged_database_is_reported(
    store: Store, fill: Filler, open_store: Open, database: Path
) -> None:
    for number in range(200):
        fill.turn(f"turn-{number}", answer="long " * 100)
    store.close()
    content = bytearray(database.read_bytes())
    most = len(content) * 3 // 4  # the tables' own descriptions stand before the last turns
    content[most:] = b"\xff" * (len(content) - most)
    database.write_bytes(content)
    with closing(open_store()) as damaged:
        assert damaged.integrity_check() != []
        with pytest.raises(StorageError, match="damaged database"):
            [damaged.turns.get(f"turn-{number}") for number in range(200)]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"missing/shammah\.db"):
        Store.open(tmp_path / "missing" / "shammah.db")


def test_a_full_disk_records_nothing_and_says_so(store: Store, fill: Filler) -> None:
    example = fill.example()
    fill_the_disk(store)
    with pytest.raises(StorageError, match="disk is full"):
        fill.turn("turn-2", answer="x" * 100_000)
    assert store.examples.list() == [example]
    assert store.integrity_check() == []


def test_feedback_on_a_full_disk_is_recorded_whole_or_not_at_all(
    store: Store, fill: Filler
) -> None:
    example = fill.example()
    before = store.feedback.newest()
    assert before is not None
    fill_the_disk(store)
    with pytest.raises(StorageError, match="disk is full"):
        store.record_feedback(
            "turn-1",
            before.level,
            3,
            "short note",
            None,
            messages=[{"role": "user", "content": "x" * 100_000}],
            status=example.status,
            target="t",
            rejected=None,
        )
    assert store.feedback.newest() == before


def test_a_locked_database_is_reported(store: Store, fill: Filler, database: Path) -> None:
    store._connection.rows("PRAGMA busy_timeout = 10")
    with closing(sqlite3.connect(database)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageError, match="another program"):
            fill.turn()
        other.execute("ROLLBACK")
    fill.turn()


def test_a_broken_reference_is_a_problem(store: Store, fill: Filler, database: Path) -> None:
    fill.example()
    with closing(sqlite3.connect(database)) as raw, raw:
        raw.execute("DELETE FROM turns")
    assert "a row of feedback names missing turns" in store.integrity_check()


def test_what_was_acknowledged_survives_a_kill(database: Path, open_store: Open) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from tests.store.filling import Filler; from shammah.store.database import Store\n"
        "fill = Filler(Store.open(Path(sys.argv[1])))\n"
        "[print(fill.example(f'turn-{n}').id, flush=True) for n in range(20)]\n"
        "fill.store._connection.database.begin(); fill.turn('unfinished')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script, str(database), str(Path(__file__).parents[2])],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    acknowledged = [int(line) for line in killed.stdout.split()]
    assert len(acknowledged) == 20
    with closing(open_store()) as store:
        assert [example.id for example in store.examples.ready()] == acknowledged
        assert store.turns.by_answer("unfinished") is None
        assert store.turns.get("turn-19") == store.turns.newest()
        assert store.integrity_check() == []


def test_a_file_of_the_first_release_keeps_its_examples(
    open_store: Open, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as first_release:
        first_release.setattr("shammah.store.migrations.STEPS", STEPS[:7])
        open_store().close()
    with closing(sqlite3.connect(database)) as raw, raw:
        raw.executescript(
            """
            INSERT INTO turns VALUES (1, 'turn-1', 'now', 'b', 0, '[]', 'a', x'00', 'stop', 1, 1);
            INSERT INTO feedback VALUES (4, 'turn-1', 'critical', 10, NULL, NULL, 'now');
            INSERT INTO examples VALUES
                (7, 'turn-1', 4, 'ready', 'critical', 10, '[]', 't', 'a', NULL, 'h', 'now', 'now');
            INSERT INTO jobs (id, base, mode, state, attempt, created_at, progress)
                VALUES (1, 'b', 'consolidate', 'promoted', 1, 'now', '{}');
            INSERT INTO verdicts VALUES (7, 1, 'learned', '{}');
            """
        )
        indices = "SELECT name FROM sqlite_master WHERE tbl_name = 'examples' AND type = 'index'"
        before = sorted(raw.execute(indices).fetchall())
    with closing(open_store()) as store:
        assert (store.examples.get(7).target, store.examples.get(7).superseded_by) == ("t", None)
        assert store.integrity_check() == []
        assert store.verdicts.newest(7) is not None
        with pytest.raises(sqlite3.IntegrityError):
            store._connection.execute("DELETE FROM examples")  # verdicts still name it
    with closing(sqlite3.connect(database)) as raw:
        assert set(before) < set(raw.execute(indices).fetchall())


def test_sessions_of_an_older_file_keep_their_conversations(
    open_store: Open, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        before = [step.__name__ for step in STEPS].index("number_turns_of_sessions")
        older.setattr("shammah.store.migrations.STEPS", STEPS[:before])
        open_store().close()
    with closing(sqlite3.connect(database)) as raw, raw:
        for number, answer in ((1, "80"), (2, ""), (3, "443"), (4, "22")):
            raw.execute(
                "INSERT INTO turns (sequence, id, created_at, base, version, messages, answer, "
                "answer_sha256, finish_reason, prompt_tokens, completion_tokens) "
                "VALUES (?, ?, '2026', 'b', 0, ?, ?, x'00', 'stop', 1, 1)",
                (number, f"turn-{number}", f'[{{"role":"user","content":"Q{number}"}}]', answer),
            )
        raw.executescript(
            """
            INSERT INTO sessions VALUES (5, 'ports', '2025'), (6, NULL, '2025');
            INSERT INTO session_turns VALUES
                (5, 'turn-1', 1), (5, 'turn-2', 1), (5, 'turn-3', 0), (5, 'turn-4', 1);
            """
        )
    with closing(open_store()) as store:
        [session] = store.sessions.list()
        assert (session.id, session.name, session.exchanges) == (5, "ports", 2)
        assert (session.opening, session.updated_at) == ("Q1", "2026")
        assert [one.answer for one in store.sessions.said(5)] == ["80", "22"]
        assert store.sessions.get(6).exchanges == 0
        assert store.integrity_check() == []
