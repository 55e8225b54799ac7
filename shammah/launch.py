"""Starts and stops the daemon, as a detached process or through the system's service manager
where it is installed there; knows nothing about what it serves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from shammah import __version__
from shammah.client import Client
from shammah.errors import ConfigError, DaemonUnreachable, ShammahError
from shammah.paths import Paths
from shammah.place import Port, listens, place
from shammah.protocol import Health
from shammah.service.keeper import Keeper, keeper_of

Say = Callable[[str], None]

#: Runs a module; `-P` keeps the folder the user happens to be in off its module path.
PYTHON = (sys.executable, "-P", "-m")
COMMAND = (*PYTHON, "shammah_daemon")

#: What a daemon says on stderr when the lock of its home is taken.
ANOTHER_RUNS = "another daemon is running"

START_SECONDS = 60.0
STOP_SECONDS = 20.0
_QUIET_SECONDS = 2.0  # a start that takes no longer is not worth a word
_REMIND_SECONDS = 10.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class _Spawned:
    """A daemon process that was started here, and where its part of the error file begins."""

    process: subprocess.Popen[bytes]
    errors: Path
    offset: int

    def said(self) -> list[str]:
        """The lines on its stderr so far."""
        with self.errors.open("rb") as file:
            file.seek(self.offset)
            text = file.read().decode(errors="replace")
        return [line.strip() for line in text.splitlines() if line.strip()]


def ensure_running(paths: Paths, say: Say) -> Client:
    """A client of the running daemon; starts one if there is none and it would be this home's.

    Args:
        say: told what is going on when it takes longer than `_QUIET_SECONDS`.

    Raises:
        StorageError: the home cannot be written.
        ConfigError: the daemon refuses its configuration.
        DaemonUnreachable: the daemon ended, or does not answer in time.
    """
    where = place(paths)
    health = _greet(where) if isinstance(where, Port) else health_of(paths)
    if health is None:
        _bring_up(paths, say)
    elif health.version != __version__:
        say(
            f"the daemon is shammah {health.version}, this is {__version__}: "
            "'shammah daemon restart' brings them together"
        )
    return Client(where)


def _bring_up(paths: Paths, say: Say) -> None:
    """Start this home's daemon, by its keeper where it has one, and wait until it answers."""
    paths.create()
    if keeper := keeper_of(paths.data_dir):
        keeper.start()
        _wait_until_ready(paths, lambda: _check_kept(keeper), say)
    else:
        spawned = _spawn(paths)
        _wait_until_ready(paths, lambda: _check_spawned(spawned), say)


def start(paths: Paths, say: Say) -> None:
    """Start the daemon, or say that it runs already."""
    health = health_of(paths)
    if health is not None:
        say(f"the daemon is running already (pid {health.pid})")
        return
    _bring_up(paths, say)
    with Client(paths.socket) as client:
        say(f"the daemon is running (pid {client.health().pid})")


def stop(paths: Paths, say: Say) -> None:
    """End the daemon and wait until its process is gone.

    Raises:
        DaemonUnreachable: there is none.
        ShammahError: it is still there after `STOP_SECONDS`.
    """
    if not end(paths):
        raise DaemonUnreachable(
            f"no daemon answers on {paths.socket}", hint="start it with 'shammah daemon start'"
        )
    say("the daemon has stopped")


def end(paths: Paths) -> bool:
    """End the daemon, whoever started it, and wait until its process is gone; whether there was
    one. A service is ended by its manager, which would start it again or call it failed."""
    health = health_of(paths)
    keeper = keeper_of(paths.data_dir)
    if kept := keeper is not None and keeper.state().running:
        assert keeper is not None
        keeper.stop()
    if health is not None:
        _end_process(health.pid, paths)
    return kept or health is not None


def _end_process(pid: int, paths: Paths) -> None:
    if not _has_ended(pid):
        with suppress(ProcessLookupError):  # it ended by itself after it answered
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while not _has_ended(pid):
        if time.monotonic() > deadline:
            raise ShammahError(
                f"the daemon (pid {pid}) has not ended after {STOP_SECONDS:.0f} s",
                hint=f"see {paths.log_file}, or end it with 'kill -KILL {pid}'",
            )
        time.sleep(_POLL_SECONDS)


def restart(paths: Paths, say: Say) -> None:
    """Stop the daemon if there is one, and start it."""
    if end(paths):
        say("the daemon has stopped")
    start(paths, say)


def _has_ended(pid: int) -> bool:
    """Gone, or nobody asks for its exit status: the first process of a container may not."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _greet(port: Port) -> Health:
    """What the daemon behind a port says of itself, if it lets us in."""
    with Client(port) as client:
        client.status()
        return client.health()


def health_of(paths: Paths) -> Health | None:
    """What the daemon says of itself; None if there is none."""
    if not listens(paths.socket):  # httpcore leaks a socket for every refused connection
        return None
    try:
        with Client(paths.socket) as client:
            return client.health()
    except DaemonUnreachable:
        return None


def _spawn(paths: Paths) -> _Spawned:
    errors = paths.logs / "shammahd.err"
    descriptor = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        offset = os.fstat(descriptor).st_size
        process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
        )
    finally:
        os.close(descriptor)
    # A chat may outlive the daemon it started and must not keep its exit status for ever.
    threading.Thread(target=process.wait, name="daemon-exit", daemon=True).start()
    return _Spawned(process, errors, offset)


def _wait_until_ready(paths: Paths, check: Callable[[], None], say: Say) -> None:
    """Wait for an answer on the socket, whoever started the daemon that gives it.

    Args:
        check: raises what there is to say when no answer can come any more.
    """
    began = time.monotonic()
    remind_at = _QUIET_SECONDS
    while health_of(paths) is None:
        waited = time.monotonic() - began
        check()
        if waited > START_SECONDS:
            raise DaemonUnreachable(
                f"the daemon does not answer after {START_SECONDS:.0f} s",
                hint=f"see {paths.logs}",
            )
        if waited > remind_at:
            say(f"starting the daemon ({waited:.0f} s)")
            remind_at += _REMIND_SECONDS
        time.sleep(_POLL_SECONDS)


def _check_kept(keeper: Keeper) -> None:
    if not keeper.state().running:
        raise DaemonUnreachable(
            f"the daemon ended while {keeper.name} started it",
            hint="'shammah daemon run' says why",
        )


def _check_spawned(spawned: _Spawned) -> None:
    if spawned.process.poll() is not None and not _lost_the_race(spawned):
        raise _start_error(spawned)


def _lost_the_race(spawned: _Spawned) -> bool:
    """Another client's daemon took the lock first: that one is about to answer."""
    return spawned.process.returncode == 2 and any(ANOTHER_RUNS in line for line in spawned.said())


def _start_error(spawned: _Spawned) -> ShammahError:
    """The daemon's own error if it printed one (`error:` and `hint:`), else its last line."""
    lines = spawned.said()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    hints = [line.removeprefix("hint: ") for line in lines if line.startswith("hint: ")]
    if errors:
        kind = ConfigError if spawned.process.returncode == 2 else DaemonUnreachable
        return kind(f"the daemon cannot start: {errors[-1]}", hint=hints[-1] if hints else "")
    last = lines[-1] if lines else f"exit status {spawned.process.returncode}"
    return DaemonUnreachable(
        f"the daemon ended while starting: {last}", hint=f"see {spawned.errors}"
    )
