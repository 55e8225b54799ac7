"""One real daemon for the whole suite, on its socket and on a TCP port."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from shammah import token
from tests.running import TINY, Daemon, furnish, home_in

#: What a daemon that was abused may have grown by.
GROWTH_BYTES = 64 << 20


#: Before a command: as root, without the right to look into every process.
PLAIN = ["setpriv", "--bounding-set", "-sys_ptrace"] if os.geteuid() == 0 else []

#: A name of this machine, as its user writes it.
NAME = "Host.docker.internal"


@pytest.fixture(scope="package")
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture(scope="package")
def daemon(
    tmp_path_factory: pytest.TempPathFactory, tiny_ground: Path, port: int
) -> Iterator[Daemon]:
    paths = home_in(tmp_path_factory.mktemp("home") / "home")
    furnish(paths, tiny_ground, TINY)
    names = {"SHAMMAH_DAEMON__ALLOWED_HOSTS": f'["{NAME}"]'}
    daemon = Daemon(paths, {"SHAMMAH_DAEMON__PORT": str(port)} | names)
    daemon.start(PLAIN)
    with daemon.client as client:
        client.chat([{"role": "user", "content": "Hello"}], max_tokens=2)
    yield daemon
    try:
        daemon.stop()
    finally:
        daemon.kill()


@pytest.fixture(scope="package")
def secret(daemon: Daemon) -> str:
    return token.read(daemon.paths.token)


@pytest.fixture
def tcp(daemon: Daemon, port: int) -> Iterator[httpx.Client]:
    """A stranger on this machine: knows the port and no token."""
    with httpx.Client(
        transport=httpx.HTTPTransport(), base_url=f"http://127.0.0.1:{port}", timeout=30
    ) as client:
        yield client


@pytest.fixture
def friend(tcp: httpx.Client, secret: str) -> httpx.Client:
    """A program that was given the token."""
    tcp.headers["Authorization"] = f"Bearer {secret}"
    return tcp


@pytest.fixture
def unix(daemon: Daemon) -> Iterator[httpx.Client]:
    transport = httpx.HTTPTransport(uds=str(daemon.paths.socket))
    with httpx.Client(transport=transport, base_url="http://any", timeout=30) as client:
        yield client


@pytest.fixture
def process(daemon: Daemon) -> psutil.Process:
    assert daemon.process is not None
    return psutil.Process(daemon.process.pid)


def files_of(daemon: Daemon) -> set[tuple[str, int]]:
    """What is in the home, but for logs and the database's log, which reading writes too."""
    return {
        (str(path), path.stat().st_size)
        for path in daemon.paths.data_dir.rglob("*")
        if path.is_file()
        and not path.is_relative_to(daemon.paths.logs)
        and not path.name.startswith("shammah.db")
    }


@pytest.fixture(autouse=True)
def unharmed(daemon: Daemon, process: psutil.Process) -> Iterator[None]:
    """After each abuse: nothing written, no memory kept, and the daemon answers its user."""
    files, memory = files_of(daemon), process.memory_info().rss
    with daemon.client as client:
        counts = client.status().examples, len(client.bases()), len(client.jobs())
    yield
    assert files_of(daemon) == files
    assert process.memory_info().rss - memory < GROWTH_BYTES
    with daemon.client as client:
        assert (client.status().examples, len(client.bases()), len(client.jobs())) == counts


def as_nobody(work: Callable[[], int]) -> int:
    """What `work` returns in a child process that belongs to another user; below 256.

    Only root can become somebody else.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    child = os.fork()
    if child == 0:
        status = 255
        try:
            signal.alarm(20)
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            status = work()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
