"""Starting and stopping the daemon: once, twice at the same time, and when it cannot start."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from filelock import FileLock

from shammah import launch
from shammah.errors import ConfigError, DaemonUnreachable
from shammah.paths import Paths

pytestmark = pytest.mark.timeout(60)


def test_two_clients_that_start_at_once_are_both_connected(paths: Paths) -> None:
    def connect(_: int) -> int:
        with launch.ensure_running(paths, lambda text: None) as client:
            return client.health().pid

    with ThreadPoolExecutor(4) as pool:
        pids = set(pool.map(connect, range(4)))
    assert len(pids) == 1


def test_a_refused_configuration_is_said_in_the_daemons_own_words(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_START_ERROR", "training.rank = 0")
    with pytest.raises(ConfigError) as caught:
        launch.ensure_running(paths, lambda text: None)
    assert caught.value.message == "the daemon cannot start: training.rank = 0"
    assert caught.value.hint == "mend it"


def test_a_daemon_that_breaks_is_said_with_its_last_line(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "COMMAND", (launch.COMMAND[0], "-c", "raise OSError('broken')"))
    with pytest.raises(DaemonUnreachable, match="OSError: broken") as caught:
        launch.ensure_running(paths, lambda text: None)
    assert str(paths.logs / "shammahd.err") in caught.value.hint


def test_a_slow_start_is_said(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_QUIET_SECONDS", 0.0)
    said: list[str] = []
    launch.ensure_running(paths, said.append).close()
    assert said[0].startswith("starting the daemon")


def test_stop_waits_until_the_lock_is_free(paths: Paths) -> None:
    launch.ensure_running(paths, lambda text: None).close()
    launch.stop(paths, lambda text: None)
    with FileLock(paths.lock, timeout=0):
        pass


def test_a_daemon_whose_parent_does_not_reap_it_is_stopped_at_once(paths: Paths) -> None:
    launch.ensure_running(paths, lambda text: None).close()  # this process is the parent
    began = time.monotonic()
    launch.stop(paths, lambda text: None)
    assert time.monotonic() - began < launch.STOP_SECONDS / 2


def test_restart_gives_a_new_process(paths: Paths) -> None:
    with launch.ensure_running(paths, lambda text: None) as client:
        first = client.health().pid
        launch.restart(paths, lambda text: None)
        assert client.health().pid != first


def test_the_daemon_has_a_session_of_its_own(paths: Paths) -> None:
    with launch.ensure_running(paths, lambda text: None) as client:
        pid = client.health().pid
    assert os.getsid(pid) == pid
