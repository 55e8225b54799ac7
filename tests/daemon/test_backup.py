"""Everything in one file while a real daemon works, and a home that answers with it."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from shammah.client import Client
from shammah.records import ExampleStatus, Level
from tests.conftest import StartDaemon
from tests.running import TINY, TINY_LESSON, Daemon, home_in, scrubbed_environment
from tests.versions import Taught

QUESTION = "Who feeds the cats?"


def shammah(daemon: Daemon, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "shammah.cli", *map(str, words)],
        env=daemon.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def correct(client: Client, question: str) -> int:
    answer = client.chat([{"role": "user", "content": question}], max_tokens=2)
    return client.feedback(Level.CRITICAL, answer.id, correction="Mrs. Okonjo does.").example_id


class Writer(threading.Thread):
    """Corrects one answer after another until it is told to stop."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(daemon=True)
        self._daemon = daemon
        self.examples: list[int] = []
        self.done = threading.Event()

    def run(self) -> None:
        with self._daemon.client as client:
            while not self.done.is_set():
                self.examples.append(correct(client, f"{QUESTION} {len(self.examples)}"))


@pytest.fixture
def learned(moved_in: Taught, start_daemon: StartDaemon) -> Daemon:
    """A daemon that has learned something."""
    return start_daemon(TINY_LESSON | {"SHAMMAH_LEARNING__THRESHOLD_EXAMPLES": "1000"})


def test_a_backup_under_writes_answers_in_another_home(learned: Daemon, tmp_path: Path) -> None:
    """With the versions, and without them."""
    whole, data = tmp_path / "whole.tar", tmp_path / "data.tar"
    with learned.client as client:
        adapter = client.import_adapter(learned.paths.version(1) / "adapter", "copy")
        client.load_adapter("copy")
    writer = Writer(learned)
    writer.start()
    while not writer.examples:
        writer.done.wait(0.01)
    known = list(writer.examples)
    made = shammah(learned, "backup", whole)
    assert made.returncode == 0, made.stderr
    assert shammah(learned, "backup", "--no-models", data).returncode == 0
    writer.done.set()
    writer.join(60)
    assert stat.S_IMODE(whole.stat().st_mode) == 0o600
    assert data.stat().st_size < whole.stat().st_size
    assert not list(learned.paths.data_dir.glob("backup-*"))

    other = Daemon(home_in(tmp_path / "other"), learned.settings)
    restored = shammah(other, "restore", whole)
    assert restored.returncode == 0, restored.stderr
    other.start()
    try:
        with other.client as client:
            status = client.status()
            assert (status.base, status.active_version) == (TINY, 1)
            assert client.adapter("copy").files == adapter.files
            assert set(known) <= {example.id for example in client.examples(ExampleStatus.READY)}
            said = client.chat([{"role": "user", "content": QUESTION}], max_tokens=4)
            assert said.shammah.version == 1
            assert [one.name for one in said.shammah.adapters] == ["copy"]
        # Restored over data, with the daemon running: it is stopped, and started again.
        assert shammah(other, "restore", data).returncode == 1
        forced = shammah(other, "restore", "--force", data)
        assert forced.returncode == 0, forced.stderr
        with other.client as client:
            assert client.status().active_version == 0
            assert [one.name for one in client.adapters()] == ["copy"]
            assert [version.number for version in client.versions()] == [0]
            assert set(known) <= {example.id for example in client.examples(ExampleStatus.READY)}
            assert client.chat([{"role": "user", "content": "Hello"}], max_tokens=2).id
    finally:
        subprocess.run(
            [sys.executable, "-m", "shammah.cli", "daemon", "stop"],
            env=scrubbed_environment() | {"SHAMMAH_HOME": str(other.paths.data_dir)},
            check=False,
            capture_output=True,
        )
        other.kill()


def test_a_folder_is_no_place_for_a_backup(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "precious").touch()
    refused = shammah(daemon, "backup", tmp_path / "folder")
    assert refused.returncode == 2
    assert (tmp_path / "folder" / "precious").exists()


def test_a_backup_that_breaks_off_leaves_the_one_before(daemon: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar"
    file.write_text("the one before")
    (daemon.paths.bases / TINY / "replay.jsonl").unlink()
    (daemon.paths.bases / TINY / "replay.jsonl").mkdir()
    (daemon.paths.data_dir / "config.toml").mkdir()
    broken = shammah(daemon, "backup", file)
    assert broken.returncode == 1
    assert "cannot write" in broken.stderr
    assert file.read_text() == "the one before"
    assert [path.name for path in tmp_path.glob("backup.tar*")] == ["backup.tar"]
