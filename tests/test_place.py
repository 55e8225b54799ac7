"""Where the daemon is said to be."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from shammah.errors import ConfigError
from shammah.paths import Paths
from shammah.place import Port, listens, place


def test_without_an_address_it_is_behind_the_homes_socket(home: Paths) -> None:
    assert place(home, {}) == home.socket


@pytest.mark.parametrize("url", ["http://[::1]:8741", "https://far.example/v1/"])
def test_an_address_is_taken_without_its_path(home: Paths, url: str) -> None:
    found = place(home, {"SHAMMAH_URL": url, "SHAMMAH_TOKEN": "secret"})
    assert found == Port(url.removesuffix("/v1/"), "secret")


@pytest.mark.parametrize(
    "url",
    ["localhost:8741", "ftp://far.example", "http://", "http://me:secret@far.example",
     "http://far.example:port", "http://[::1"],
)  # fmt: skip
def test_what_is_no_address_of_a_daemon_is_refused(home: Paths, url: str) -> None:
    with pytest.raises(ConfigError, match="is not the URL of a daemon"):
        place(home, {"SHAMMAH_URL": url, "SHAMMAH_TOKEN": "secret"})


def test_an_address_needs_a_token(home: Paths) -> None:
    with pytest.raises(ConfigError, match="there is no token"):
        place(home, {"SHAMMAH_URL": "http://127.0.0.1:8741"})


def test_a_socket_listens_while_a_process_is_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    assert not listens(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()
        assert listens(path)
    assert not listens(path)
