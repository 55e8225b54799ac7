"""The client that a command talks through: of a running daemon, or of one started for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shammah.cli.output import say
from shammah.paths import Paths

if TYPE_CHECKING:
    from shammah.client import Client


def running() -> Client:
    """A client that raises DaemonUnreachable at its first call if there is no daemon."""
    from shammah.client import Client
    from shammah.place import place

    return Client(place(Paths.from_environment()))


def started() -> Client:
    """A client of the daemon, which is started if there is none."""
    from shammah import launch

    return launch.ensure_running(Paths.from_environment(), say)
