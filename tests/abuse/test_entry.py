"""Who comes in: tokens, names, pages and other users, against a real daemon."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from shammah.client import Client
from shammah.errors import TooManyAttempts, Unauthorized
from shammah.place import Port
from tests.abuse.conftest import NAME, PLAIN, as_nobody
from tests.running import Daemon, scrubbed_environment, wait_for

QUESTION = {"model": "shammah", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
PATHS = ["/v1/models", "/api/status", "/openapi.json", "/docs", "/nowhere"]


@pytest.mark.parametrize("path", PATHS)
def test_without_a_token_there_is_nothing_on_tcp(tcp: httpx.Client, path: str) -> None:
    answer = tcp.get(path)
    assert answer.status_code in (401, 429)
    assert answer.json()["error"]["type"] in ("Unauthorized", "TooManyAttempts")


def test_health_is_open_and_says_nothing_about_the_user(tcp: httpx.Client) -> None:
    assert set(tcp.get("/health").json()) == {"status", "pid", "version"}


def test_the_token_opens_everything(friend: httpx.Client) -> None:
    assert friend.get("/api/status").status_code == 200
    assert friend.post("/v1/chat/completions", json=QUESTION).status_code == 200


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer wrong", "Basic {}", "{}", "Bearer {}x", "Bearer \x80\xff"],
)
def test_a_wrong_token_opens_nothing(tcp: httpx.Client, secret: str, header: str) -> None:
    sent = {b"Authorization": header.format(secret).encode("latin-1")}
    answer = tcp.get("/api/status", headers=sent)
    assert answer.status_code in (401, 429)
    assert secret not in answer.text


def test_a_token_in_the_url_opens_nothing(tcp: httpx.Client, secret: str) -> None:
    for name in ("token", "access_token", "api_key"):
        assert tcp.get(f"/api/status?{name}={secret}").status_code in (401, 429)


def test_guessing_is_answered_less_and_the_right_token_all_the_same(
    tcp: httpx.Client, secret: str
) -> None:
    guesses = [
        tcp.get("/api/status", headers={"Authorization": f"Bearer {number}"})
        for number in range(12)
    ]
    assert guesses[-1].status_code == 429
    assert int(guesses[-1].headers["retry-after"]) > 0
    right = tcp.get("/api/status", headers={"Authorization": f"Bearer {secret}"})
    assert right.status_code == 200


def test_the_token_is_for_the_user_alone_and_in_no_log_and_no_process_list(
    daemon: Daemon, friend: httpx.Client, secret: str, process: psutil.Process
) -> None:
    friend.post("/v1/chat/completions", json=QUESTION)
    assert stat.S_IMODE(daemon.paths.token.stat().st_mode) == 0o600
    assert not any(secret in log.read_text() for log in daemon.paths.logs.iterdir())
    for one in (process, *process.children()):
        assert secret not in " ".join([*one.cmdline(), *one.environ().values()])


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "8.8.8.8", "[::1", ""]
)
def test_a_foreign_host_is_refused_even_with_the_token(friend: httpx.Client, host: str) -> None:
    answer = friend.get("/api/status", headers={"Host": host})
    assert answer.status_code == 403
    assert friend.get("/health", headers={"Host": host}).status_code == 403


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:3000", "127.0.0.1", "[::1]:8741", NAME, f"{NAME.lower()}:8741"],
)
def test_names_of_this_machine_are_let_in(friend: httpx.Client, host: str) -> None:
    assert friend.get("/api/status", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost", ""]
)
def test_a_page_of_another_origin_is_refused(friend: httpx.Client, origin: str) -> None:
    answer = friend.post("/v1/chat/completions", json=QUESTION, headers={"Origin": origin})
    assert answer.status_code == 403


def test_nothing_is_shared_with_other_origins(friend: httpx.Client, port: int) -> None:
    own = friend.get("/api/status", headers={"Origin": f"http://127.0.0.1:{port}"})
    assert own.status_code == 200
    asked = friend.options(
        "/v1/chat/completions",
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
    )
    assert asked.status_code == 403
    for answer in (own, asked):
        assert not any(name.startswith("access-control") for name in answer.headers)


def test_another_user_on_the_socket_is_refused(daemon: Daemon) -> None:
    """With the file modes relaxed, so that only the kernel's word on the peer is left."""
    socket_file = daemon.paths.socket
    folders = [*socket_file.parents][: len(socket_file.parents) - 2]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (socket_file, *folders)}

    def ask() -> int:
        with socket.socket(socket.AF_UNIX) as connected:
            connected.connect(str(socket_file))
            connected.sendall(b"GET /health HTTP/1.1\r\nHost: any\r\n\r\n")
            return int(connected.recv(4096).split()[1]) - 200

    try:
        for path, mode in modes.items():
            path.chmod(mode | (0o666 if path == socket_file else 0o011))
        status = 200 + as_nobody(ask)
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    assert status == 403


def test_a_client_is_told_what_its_token_lacks(daemon: Daemon, port: int, secret: str) -> None:
    url = f"http://127.0.0.1:{port}"
    with Client(Port(url, secret)) as client:
        assert client.status().home == str(daemon.paths.data_dir)
    with (
        Client(Port(url, "wrong")) as client,
        pytest.raises((Unauthorized, TooManyAttempts), match="token") as told,
    ):
        client.status()
    assert told.value.hint


def command(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`shammah ARGUMENTS...` with a home of its own, so that only a URL leads to the daemon."""
    return subprocess.run(
        [sys.executable, "-m", "shammah.cli", *arguments],
        env=scrubbed_environment() | {"SHAMMAH_HOME": str(home)} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_line_talks_to_a_port(
    daemon: Daemon, port: int, secret: str, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{port}"
    told = command(tmp_path, "status", "--json", SHAMMAH_URL=url, SHAMMAH_TOKEN=secret)
    assert json.loads(told.stdout)["home"] == str(daemon.paths.data_dir)
    lacking = command(tmp_path, "status", SHAMMAH_URL=url)
    assert lacking.returncode == 2
    assert "SHAMMAH_TOKEN" in lacking.stderr
    wrong = command(tmp_path, "status", SHAMMAH_URL=url, SHAMMAH_TOKEN="wrong")
    assert wrong.returncode in (1, 2)
    assert "token" in wrong.stderr
    assert not (tmp_path / "run" / "shammahd.pid").exists()


def test_the_command_line_prints_the_token_and_says_the_url(
    daemon: Daemon, port: int, secret: str
) -> None:
    told = command(daemon.paths.data_dir, "daemon", "token", SHAMMAH_DAEMON__PORT=str(port))
    assert told.stdout == f"{secret}\n"
    assert f"http://127.0.0.1:{port}/v1" in told.stderr


def is_dumpable(pid: int) -> bool:
    """Of one that is not, the kernel tells no user which file it runs: proc(5)."""
    look = [*PLAIN, "readlink", f"/proc/{pid}/exe"]
    return subprocess.run(look, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux knows whether")
def test_processes_leave_no_core(process: psutil.Process) -> None:
    with subprocess.Popen([*PLAIN, "sleep", "60"]) as other:
        wait_for(lambda: is_dumpable(other.pid))
        other.kill()
    for one in (process, *process.children()):
        assert one.rlimit(psutil.RLIMIT_CORE) == (0, 0)
        assert not is_dumpable(one.pid), one.cmdline()


def test_no_page_is_served_that_loads_from_elsewhere(friend: httpx.Client) -> None:
    for path in ("/docs", "/redoc"):
        assert friend.get(path).status_code == 404
    assert friend.get("/openapi.json").status_code == 200
