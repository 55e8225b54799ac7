"""What has happened at the daemon, told to the screen; knows neither threads nor widgets."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from shammah.errors import ShammahError
from shammah.protocol import JobEvent, JobView, Status, VersionView


@dataclass(frozen=True)
class Snapshot:
    """What the daemon said of itself at one moment."""

    status: Status
    jobs: list[JobView]  # newest first
    versions: list[VersionView]  # newest first

    @property
    def active(self) -> VersionView | None:
        """The version that answers; version 0 is the base itself."""
        return next((version for version in self.versions if version.active), None)


class DaemonSeen(Message):
    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot


class DaemonLost(Message):
    """The daemon does not answer, or answers with an error only."""

    def __init__(self, error: ShammahError) -> None:
        super().__init__()
        self.message = error.message
        self.hint = error.hint


class JobMoved(Message):
    """A job entered another state, or made progress in the one it is in."""

    def __init__(self, event: JobEvent) -> None:
        super().__init__()
        self.event = event


class JobQueued(Message):
    def __init__(self, job: JobView) -> None:
        super().__init__()
        self.job = job


class JobCancelled(Message):
    def __init__(self, job: JobView) -> None:
        super().__init__()
        self.job = job


class RequestRefused(Message):
    """What a key asked for was not done."""

    def __init__(self, error: ShammahError) -> None:
        super().__init__()
        self.message = error.message
        self.hint = error.hint


class LinkBroke(Message):
    """A thread of the link ended by a defect of ours."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
