"""What the service manager is told: ready, alive, stopping, and what goes on (sd_notify(3)).

Without systemd nothing is sent. Knows no request and no words of the user.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping

from shammah.protocol import EngineState
from shammah.records import Active, Job
from shammah_daemon.serving import Serving


class Systemd:
    """Speaks to the service manager that started the daemon, if one did."""

    def __init__(self, serving: Serving, environment: Mapping[str, str]) -> None:
        self._serving = serving
        self._socket = _connect(environment.get("NOTIFY_SOCKET", ""))
        self._ping_seconds = ping_seconds(environment, os.getpid())
        self._job: Job | None = None

    def ready(self) -> None:
        """The socket answers; the model may still be loading."""
        self._send(f"READY=1\n{self._status()}")

    def stopping(self) -> None:
        self._send("STOPPING=1\nSTATUS=stopping")

    def tell(self) -> None:
        """What goes on has changed."""
        self._send(self._status())

    def job_changed(self, job: Job) -> None:
        self._job = None if job.state.is_final else job
        self.tell()

    async def keep_alive(self) -> None:
        """Ping for ever, from the event loop: one that hangs pings no more, and is started anew."""
        while self._ping_seconds:
            self._send(f"WATCHDOG=1\n{self._status()}")
            await asyncio.sleep(self._ping_seconds)

    def close(self) -> None:
        if self._socket:
            self._socket.close()

    def _send(self, message: str) -> None:
        """What cannot be sent at once is not sent: a manager that hangs must not hang us."""
        if self._socket:
            with contextlib.suppress(OSError):
                self._socket.send(message.encode())

    def _status(self) -> str:
        servable = self._serving.servable
        active = servable.active if servable else None
        return "STATUS=" + describe(self._serving.status().state, active, self._job)


def _connect(address: str) -> socket.socket | None:
    """To the manager's socket; one whose name begins with @ is in no folder (unix(7))."""
    if not address:
        return None
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.setblocking(False)
    try:
        notify.connect("\0" + address[1:] if address.startswith("@") else address)
    except OSError:
        notify.close()
        return None
    return notify


def ping_seconds(environment: Mapping[str, str], pid: int) -> float | None:
    """Half of the time after which the manager gives up on the process `pid`; None: it never does
    (sd_watchdog_enabled(3))."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return int(microseconds) / 2e6 or None


def describe(state: EngineState, active: Active | None, job: Job | None) -> str:
    """One line for `systemctl status`."""
    model = f"{active.base}, version {active.version}" if active else "no model"
    working = f"; job {job.id} is {job.state}" if job else ""
    return f"{model}: {state}{working}"
