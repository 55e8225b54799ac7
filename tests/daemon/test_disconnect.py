"""A client that hangs up stops its answer, over the real socket of a real daemon."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import psutil
import pytest

from shammah.client import Client
from tests.asking import QUESTION, answered, user
from tests.running import POLL_SECONDS, Daemon, serving_tiny, wait_for

#: So long that no answer ends by itself before it is looked at.
LONG = {"max_tokens": 1500, "temperature": 2.0, "seed": 1}

#: How long after the client has gone the engine may still work.
STOP_SECONDS = 1.0


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, tiny_ground: Path) -> Iterator[Daemon]:
    with serving_tiny(tmp_path_factory.mktemp("disconnect"), tiny_ground) as daemon:
        yield daemon


def within(seconds: float, true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def rests(process: psutil.Process) -> bool:
    """Whether it computes nothing for a while."""
    before = processor_seconds(process)
    time.sleep(0.3)
    return processor_seconds(process) - before < 0.05


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("chat/completions", {"messages": user(), "stream": True}),
        ("chat/completions", {"messages": user()}),
        ("completions", {"prompt": QUESTION, "stream": True}),
        ("completions", {"prompt": QUESTION}),
    ],
)
def test_hanging_up_stops_the_engine(
    daemon: Daemon, client: Client, path: str, asked: dict[str, object]
) -> None:
    answered(client)  # the engine is loaded
    [engine] = daemon.children("shammah.engine")
    request = httpx.Request("POST", f"http://any/v1/{path}", json={**asked, **LONG})
    head = f"POST {request.url.path} HTTP/1.1\r\n".encode()
    head += b"".join(name + b": " + value + b"\r\n" for name, value in request.headers.raw)
    with closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.connect(str(daemon.paths.socket))
        connection.sendall(head + b"\r\n" + request.read())
        wait_for(lambda: client.status().engine.active_requests == 1)
        busy = processor_seconds(engine)
        wait_for(lambda: processor_seconds(engine) > busy)
    assert within(STOP_SECONDS, lambda: client.status().engine.active_requests == 0)
    assert within(STOP_SECONDS, lambda: rests(engine))
    assert answered(client).usage.completion_tokens
