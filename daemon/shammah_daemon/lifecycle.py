"""One daemon per home: the lock, the socket and the pid file. Knows no service."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from shammah.errors import UsageError
from shammah.files import write_atomically
from shammah.paths import Paths


@contextmanager
def only_daemon(paths: Paths) -> Iterator[None]:
    """Hold the home's lock and show our pid.

    Raises:
        UsageError: another daemon holds it.
    """
    lock = FileLock(paths.lock, mode=0o600)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise UsageError(
            f"another daemon is running on {paths.data_dir}{_pid_of(paths)}",
            hint="'shammah status' talks to it, 'shammah daemon stop' ends it",
        ) from None
    try:
        write_atomically(paths.pid_file, str(os.getpid()).encode())
        yield
        paths.pid_file.unlink(missing_ok=True)
    finally:
        lock.release()


@contextmanager
def listening(paths: Paths) -> Iterator[socket.socket]:
    """The daemon's unix socket, for its user alone. The lock makes an old one ours to remove."""
    path = paths.socket
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    try:
        listener.listen(128)
        yield listener
    finally:
        listener.close()
        path.unlink(missing_ok=True)


def _pid_of(paths: Paths) -> str:
    try:
        return f", process {paths.pid_file.read_text()}"
    except OSError:
        return ""
