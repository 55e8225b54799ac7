"""What a service manager hears from the unit's own command, and that a hung loop is silent."""

from __future__ import annotations

import asyncio
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shammah.client import Client
from shammah.config import EngineConfig
from shammah.paths import Paths
from shammah.records import Active, Job, JobState, Mode
from shammah.service.installation import Installation
from shammah.service.systemd import Systemd as Unit
from shammah_daemon.courtesy import Courtesy
from shammah_daemon.serving import Serving
from shammah_daemon.systemd import Systemd, describe, ping_seconds
from tests.running import TINY, furnish, scrubbed_environment


@contextmanager
def manager(folder: Path) -> Iterator[socket.socket]:
    """The socket on which a service manager listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(folder / "notify"))
        listener.settimeout(60)
        yield listener


def hear(listener: socket.socket, wanted: str) -> dict[str, str]:
    """The first message that sets `wanted`."""
    while True:
        message = listener.recv(4096).decode()
        fields = dict(line.split("=", 1) for line in message.splitlines())
        if wanted in fields:
            return fields


def test_the_units_command_says_ready_alive_and_stopping(
    home: Paths, tiny_ground: Path, tmp_path: Path
) -> None:
    furnish(home, tiny_ground, TINY)
    unit = Unit(tmp_path / "unit").text(
        Installation.present(home, {"SHAMMAH_HOME": str(home.data_dir)})
    )
    [command] = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    [variables] = [line for line in unit.splitlines() if line.startswith("Environment=")]
    [variable] = shlex.split(variables.removeprefix("Environment="))
    with manager(tmp_path) as listener:
        process = subprocess.Popen(
            shlex.split(command.removeprefix("ExecStart=")),
            env=scrubbed_environment()
            | dict([variable.split("=", 1)])
            | {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"},
        )
        try:
            assert hear(listener, "READY")["STATUS"].startswith("tiny, version 0")
            with Client(home.socket) as client:
                assert client.health().pid == process.pid
                client.chat([{"role": "user", "content": "Hello"}], max_tokens=2)
            hear(listener, "WATCHDOG")
            began = time.monotonic()
            for _ in range(4):
                alive = hear(listener, "WATCHDOG")
            assert time.monotonic() - began < 4 * 0.4
            while alive["STATUS"] != "tiny, version 0: ready":
                alive = hear(listener, "STATUS")
            process.terminate()
            assert hear(listener, "STOPPING")["STATUS"] == "stopping"
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()


@contextmanager
def speaking(environment: dict[str, str]) -> Iterator[Systemd]:
    systemd = Systemd(Serving(EngineConfig(), Courtesy()), environment)
    yield systemd
    systemd.close()


async def test_a_hung_loop_pings_no_more(tmp_path: Path) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "20000"}
    with manager(tmp_path) as listener, speaking(environment) as systemd:
        listener.setblocking(False)
        alive = asyncio.create_task(systemd.keep_alive())
        await asyncio.sleep(0.1)
        assert b"WATCHDOG=1" in listener.recv(4096)
        drain(listener)
        time.sleep(0.1)  # the loop hangs
        with pytest.raises(BlockingIOError):
            listener.recv(4096)
        alive.cancel()


def drain(listener: socket.socket) -> None:
    try:
        while True:
            listener.recv(4096)
    except BlockingIOError:
        return


def test_a_manager_that_does_not_read_does_not_hang_the_daemon(tmp_path: Path) -> None:
    with manager(tmp_path), speaking({"NOTIFY_SOCKET": str(tmp_path / "notify")}) as systemd:
        for _ in range(5000):
            systemd.tell()


def test_pings_come_at_half_the_time_and_only_for_this_process() -> None:
    me = os.getpid()
    assert ping_seconds({"WATCHDOG_USEC": "60000000"}, me) == 30
    assert ping_seconds({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(me)}, me) == 30
    assert ping_seconds({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, me) is None
    assert ping_seconds({}, me) is None
    assert ping_seconds({"WATCHDOG_USEC": "0"}, me) is None


def test_the_status_tells_model_and_job() -> None:
    job = Job(
        id=4, base="tiny", mode=Mode.QUICK, state=JobState.TRAINING, attempt=1, version=None,
        error=None, hint=None, created_at="", started_at=None, finished_at=None,
    )  # fmt: skip
    said = describe("ready", Active("tiny", 3), job)
    assert said == "tiny, version 3: ready; job 4 is training"
    assert describe("failed", None, None) == "no model: failed"


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "/no/such/socket"}])
def test_without_a_manager_nothing_is_sent(environment: dict[str, str]) -> None:
    with speaking(environment) as systemd:
        systemd.ready()


@pytest.mark.skipif(sys.platform != "linux", reason="names in no folder are Linux's")
def test_a_manager_whose_socket_is_in_no_folder_hears_it() -> None:
    name = f"shammah-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        with speaking({"NOTIFY_SOCKET": f"@{name}"}) as systemd:
            systemd.stopping()
        assert listener.recv(4096) == b"STOPPING=1\nSTATUS=stopping"
