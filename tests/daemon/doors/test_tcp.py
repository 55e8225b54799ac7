"""Where the daemon listens besides its socket."""

from __future__ import annotations

import socket

import pytest

from shammah.config import DaemonConfig
from shammah.errors import ConfigError
from shammah_daemon.doors.tcp import resolve, tcp_listener


def test_without_a_port_nothing_listens() -> None:
    with tcp_listener(DaemonConfig()) as listener:
        assert listener is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_an_address_that_others_reach_is_refused_unless_it_is_meant(host: str) -> None:
    with pytest.raises(ConfigError, match="can be reached by other machines") as told:
        resolve(DaemonConfig(host=host, port=8741))
    assert "daemon.allow_remote" in told.value.hint
    meant = DaemonConfig(host=host, port=8741, allow_remote=True)
    assert resolve(meant)[1] == host


def test_localhost_is_the_address_that_most_clients_try_first() -> None:
    config = DaemonConfig(host="localhost", port=8741)
    assert resolve(config) == (socket.AF_INET, "127.0.0.1")


def test_a_port_that_is_taken_is_one_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = DaemonConfig(port=taken.getsockname()[1])
        with pytest.raises(ConfigError, match="cannot listen on"), tcp_listener(config):
            pass
