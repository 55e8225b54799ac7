"""What is sent: kinds, sizes, depth, ids and slowness, against a real daemon."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import httpx
import psutil
import pytest

from shammah_daemon.doors.connection import BODY_SECONDS, HEADER_SECONDS, TCP_CONNECTIONS
from tests.running import Daemon

#: What a busy machine may add to a deadline.
PATIENCE_SECONDS = 5.0

CHAT = "/v1/chat/completions"
TRAVERSAL = ["../../token", "..%2f..%2ftoken", "%2e%2e%2f%2e%2e%2ftoken", "..\\..\\token", "%00"]
BEGINNINGS = {
    "nothing": b"",
    "part of the headers": b"GET /api/status HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    "part of a body": b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
}


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "text/plain;application/json", "application/x-www-form-urlencoded", "",
     "multipart/form-data; boundary=x"],
)  # fmt: skip
def test_only_json_is_taken(unix: httpx.Client, kind: str) -> None:
    body = json.dumps({"level": "good"})
    answer = unix.post("/v1/feedback", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 415
    assert answer.json()["error"]["type"] == "WrongContent"


def test_a_packed_body_is_not_taken(unix: httpx.Client) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert unix.post("/v1/feedback", content=b"{}", headers=headers).status_code == 415


def test_a_body_of_100_mb_is_refused(friend: httpx.Client) -> None:
    headers = {"Content-Type": "application/json"}
    assert friend.post(CHAT, content=b"[" * 100_000_000, headers=headers).status_code == 413


def test_a_body_of_100_mb_that_does_not_say_so_is_refused(
    friend: httpx.Client, process: psutil.Process
) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 1_000_000

    headers = {"Content-Type": "application/json"}
    assert friend.post(CHAT, content=pieces(), headers=headers).status_code == 413


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"messages":'])
def test_a_deeply_nested_body_is_refused(unix: httpx.Client, opening: str) -> None:
    for depth in (65, 500_000):
        answer = unix.post(
            CHAT, content=opening * depth, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 413
        assert "nested deeper" in answer.json()["error"]["message"]


def test_brackets_in_a_question_are_no_nesting(unix: httpx.Client) -> None:
    for question in ('\\"[{' * 100 + '"\\', "[{" * 100):
        body = {"messages": [{"role": "user", "content": question}] * 2, "max_tokens": 1}
        assert unix.post(CHAT, json=body).status_code == 200


@pytest.mark.parametrize("evil", TRAVERSAL)
@pytest.mark.parametrize(
    "path",
    ["/api/jobs/{}", "/api/jobs/{}/steps", "/api/versions/{}", "/api/examples/{}",
     "/api/turns/{}/why", "/api/bases/{}"],
)  # fmt: skip
def test_an_id_is_never_a_path(unix: httpx.Client, path: str, evil: str) -> None:
    for method in ("GET", "DELETE"):
        answer = unix.request(method, path.format(evil))
        assert 400 <= answer.status_code < 500, (method, answer.text)


@pytest.mark.parametrize("name", ["../../evil", "..", "a/b", "/tmp/evil", "a\0b", ".hidden"])
def test_the_name_of_a_base_is_never_a_path(unix: httpx.Client, tiny_base: Path, name: str) -> None:
    answer = unix.post("/api/bases", json={"path": str(tiny_base), "name": name})
    assert answer.status_code == 422
    assert unix.post(f"/api/bases/{quote(name, safe='')}/use").status_code in (404, 405)


def test_what_is_slow_to_say_what_it_wants_is_let_go(port: int, daemon: Daemon) -> None:
    """One byte a second keeps neither headers nor a body alive."""
    began = time.monotonic()

    def drip(beginning: bytes) -> tuple[float, bytes]:
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(beginning)
            slow.settimeout(1)
            answer = b""
            while time.monotonic() - began < 4 * BODY_SECONDS:
                try:
                    if not (more := slow.recv(4096)):
                        break
                    answer += more
                except TimeoutError:
                    with contextlib.suppress(OSError):
                        slow.sendall(b"a" if beginning else b"")
                except OSError:
                    break
            return time.monotonic() - began, answer

    with ThreadPoolExecutor() as threads:
        nothing, headers, body = threads.map(drip, BEGINNINGS.values())
    assert nothing[0] < HEADER_SECONDS + PATIENCE_SECONDS
    assert nothing[1] == b""
    assert headers[0] < HEADER_SECONDS + PATIENCE_SECONDS
    assert headers[1].startswith(b"HTTP/1.1 408 ")
    assert body[0] < BODY_SECONDS + PATIENCE_SECONDS


def test_many_connections_on_tcp_do_not_shut_the_user_out(
    port: int, unix: httpx.Client, process: psutil.Process
) -> None:
    with contextlib.ExitStack() as opened:
        connections = [
            opened.enter_context(socket.create_connection(("127.0.0.1", port)))
            for _ in range(TCP_CONNECTIONS + 20)
        ]
        connections[-1].settimeout(5)
        assert b" 503 " in connections[-1].recv(4096)
        assert unix.get("/api/status").status_code == 200
        assert len(process.net_connections("tcp")) <= TCP_CONNECTIONS + 1
    deadline = time.monotonic() + 5
    while len(process.net_connections("tcp")) > 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(process.net_connections("tcp")) == 1


def test_what_is_no_http_is_one_clear_error(port: int) -> None:
    for nonsense in (b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000):
        with socket.create_connection(("127.0.0.1", port)) as connected:
            connected.settimeout(5)
            connected.sendall(nonsense)
            assert connected.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_an_endless_file_is_refused(friend: httpx.Client) -> None:
    """A form is not held in memory, so it is cut off while it comes."""

    def pieces() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
        for _ in range(100):
            yield b" " * 1_000_000

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = friend.post("/v1/files", content=pieces(), headers=headers)
    assert answer.status_code == 413
    assert answer.json()["error"]["type"] == "TooLarge"


def test_thousands_of_examples_are_one_request(unix: httpx.Client) -> None:
    """More than a question may have; the route itself has the last word."""
    answer = unix.post("/api/examples/import", json={"lines": " " * 9_000_000, "source": ""})
    assert answer.status_code not in (413, 415)


def test_as_large_a_file_may_be_uploaded(unix: httpx.Client) -> None:
    """The same length whichever way examples come in; blanks are none."""
    file = {"file": ("long.jsonl", b" " * 17_000_000)}
    answer = unix.post("/v1/files", data={"purpose": "fine-tune"}, files=file)
    assert answer.status_code == 400
    assert "no example in it" in answer.json()["error"]["message"]
