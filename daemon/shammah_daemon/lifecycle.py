"""One daemon per home: the lock, the socket and the pid file. Knows no service."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from shammah.errors import UsageError
from shammah.files import storage_error, write_atomically
from shammah.paths import Paths


@contextmanager
def only_daemon(paths: Paths) -> Iterator[None]:
    """Hold the home's lock and show our pid.

    Raises:
        UsageError: another daemon holds it.
        StorageError: it cannot be opened.
    """
    lock = FileLock(paths.lock, mode=0o600)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise UsageError(
            f"another daemon is running on {paths.data_dir}{_pid_of(paths)}",
            hint="'shammah status' talks to it, 'shammah daemon stop' ends it",
        ) from None
    except OSError as error:
        raise storage_error(error, paths.lock) from error
    try:
        write_atomically(paths.pid_file, str(os.getpid()).encode())
        yield
        paths.pid_file.unlink(missing_ok=True)
    finally:
        lock.release()


@contextmanager
def listening(paths: Paths) -> Iterator[socket.socket]:
    """The daemon's unix socket, for its user alone. The lock makes an old one ours to remove.

    Raises:
        StorageError: it cannot be made.
    """
    path = paths.socket
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise storage_error(error, path) from error
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
