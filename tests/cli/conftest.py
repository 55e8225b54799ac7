"""A home of its own for every test, and the `shammah` command with a stand-in for the daemon."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from shammah import cli, launch
from shammah.errors import DaemonUnreachable
from shammah.paths import Paths
from tests.cli.fake.shammah_daemon.app import State, build

FAKE = Path(__file__).parent / "fake"
SOURCES = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "shammah.cli")

#: More than Linux gives (proc(5), pid_max): to end the stand-in must not end the tests.
NO_PROCESS = 2**22 + 1

Shammah = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Paths]:
    """An empty home; a daemon that is started in it is a stand-in, ended after."""
    monkeypatch.setenv("SHAMMAH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FAKE), str(SOURCES)]))
    monkeypatch.setenv("TERM", "xterm-256color")
    found = Paths.from_environment()
    yield found
    with suppress(DaemonUnreachable):
        launch.stop(found, lambda text: None)


class Served:
    """Serves one application after another on one socket, from a thread."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.app: ASGIApp | None = None
        settings = uvicorn.Config(
            self._answer,
            interface="asgi3",
            uds=str(socket),
            log_config=None,
            log_level="critical",
            lifespan="off",
            timeout_graceful_shutdown=0,  # a watching chat would hold it up
        )
        self._server = uvicorn.Server(settings)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.001)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("stand-in") / "socket")
    served.start()
    yield served
    served.stop()


@pytest.fixture
def stand_in(served: Served, paths: Paths) -> Iterator[State]:
    """A stand-in for the daemon that answers in the home, without a process of its own."""
    state = State(NO_PROCESS)
    served.app = build(paths, state)
    paths.create()
    paths.socket.symlink_to(served.socket)
    yield state
    paths.socket.unlink()


@pytest.fixture
def process(paths: Paths) -> Shammah:
    """Runs `shammah ARGUMENTS...` as a process and returns what it did."""

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return run


@pytest.fixture
def shammah(stand_in: State, monkeypatch: pytest.MonkeyPatch) -> Shammah:
    """Runs `shammah ARGUMENTS...` in this process, talking to the stand-in."""

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        out, err = io.StringIO(), io.StringIO()
        with monkeypatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", ["shammah", *arguments])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
            with pytest.raises(SystemExit) as done:
                cli.main()
        assert isinstance(done.value.code, int)
        return subprocess.CompletedProcess(
            arguments, done.value.code, out.getvalue(), err.getvalue()
        )

    return run
