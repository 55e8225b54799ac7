"""Settings and logs over the socket of a real daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shammah import config
from shammah.client import Client
from shammah.errors import ConfigError
from shammah.protocol import SettingView
from tests.conftest import StartDaemon
from tests.running import Daemon, serving_tiny


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, tiny_ground: Path) -> Iterator[Daemon]:
    with serving_tiny(tmp_path_factory.mktemp("settings"), tiny_ground) as daemon:
        yield daemon


def setting(client: Client, key: str) -> SettingView:
    return next(view for view in client.settings() if view.key == key)


def test_a_change_is_written_and_holds_after_a_restart(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    with daemon.client as client:
        changed = client.change_setting("training.rank", "8")
    assert (changed.running, changed.value, changed.source) == ("32", "8", "file")
    assert changed.needs_restart
    assert config.get(daemon.paths.config_file, "training.rank") == 8
    daemon.stop()
    daemon.start()
    with daemon.client as again:
        assert not setting(again, "training.rank").needs_restart
        back = again.change_setting("training.rank", None)
        assert (back.running, back.value, back.source) == ("8", "32", "default")


def test_a_value_outside_its_limits_is_refused_and_not_written(
    daemon: Daemon, client: Client
) -> None:
    with pytest.raises(ConfigError, match=r"training\.rank"):
        client.change_setting("training.rank", "0")
    with pytest.raises(ConfigError, match="unknown configuration key"):
        client.change_setting("learning.ranks", "1")
    assert not daemon.paths.config_file.exists()


def test_the_logs_can_be_followed(client: Client) -> None:
    first = client.logs()
    assert any(line.source == "daemon" for line in first.data)
    session = client.begin_session()
    client.delete_session(session.id)
    later = client.logs(first.next).data
    assert f"session deleted session={session.id}" in [line.text for line in later]
    assert all(line.level for line in later)
    assert not any(line in later for line in first.data)
