"""The link to the daemon: asks, follows, commands, and posts what came of it; draws nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from textual.message import Message

from shammah.client import Client, Port
from shammah.errors import ShammahError
from shammah.protocol import Status
from shammah_tui.messages import (
    DaemonLost,
    DaemonSeen,
    JobCancelled,
    JobMoved,
    JobQueued,
    LinkBroke,
    RequestRefused,
    Snapshot,
)

POLL_SECONDS = 1.0

Post = Callable[[Message], object]


class Link:
    """Threads that talk to the daemon behind `place`, each through a client of its own.

    They are daemon threads and not Textual's workers: a request waits for its answer without a
    limit, and whoever quits must not wait for a daemon that hangs.
    """

    def __init__(self, place: Path | Port, post: Post) -> None:
        self._place = place
        self._post = post
        self._closed = threading.Event()
        self._asked = threading.Event()

    def open(self) -> None:
        """Begin to look at the daemon, again and again until `close`."""
        self._start(self._poll)
        self._start(self._follow)

    def close(self) -> None:
        self._closed.set()
        self._asked.set()

    def refresh(self) -> None:
        """Look now, not at the next second."""
        self._asked.set()

    def train(self) -> None:
        self._start(lambda: self._request(lambda client: JobQueued(client.train())))

    def cancel(self, job_id: int) -> None:
        self._start(lambda: self._request(lambda client: JobCancelled(client.cancel_job(job_id))))

    def _poll(self) -> None:
        with Client(self._place) as client:
            seen: Snapshot | None = None
            while not self._closed.is_set():
                self._asked.clear()
                try:
                    seen = look(client, seen)
                except ShammahError as error:
                    seen = None
                    self._post(DaemonLost(error))
                else:
                    self._post(DaemonSeen(seen))
                self._asked.wait(POLL_SECONDS)

    def _follow(self) -> None:
        """Job events from now on; what was missed while the daemon was away, a poll has told."""
        with Client(self._place) as client:
            while not self._closed.is_set():
                try:
                    for event in client.job_events(after=-1):
                        self._post(JobMoved(event))
                except ShammahError:
                    pass  # the poll says so
                self._closed.wait(POLL_SECONDS)

    def _request(self, request: Callable[[Client], Message]) -> None:
        with Client(self._place) as client:
            try:
                self._post(request(client))
            except ShammahError as error:
                self._post(RequestRefused(error))
        self.refresh()

    def _start(self, work: Callable[[], None]) -> None:
        threading.Thread(target=self._run, args=(work,), name="daemon-link", daemon=True).start()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            self._post(LinkBroke(error))  # the app ends with its traceback


def look(client: Client, before: Snapshot | None) -> Snapshot:
    """The present state; jobs and versions are read again only when the status tells of change."""
    status = client.status()
    if before is not None and _outline(status) == _outline(before.status):
        return Snapshot(status, before.jobs, before.versions)
    return Snapshot(status, client.jobs(), client.versions())


def _outline(status: Status) -> tuple[object, ...]:
    """What changes whenever a row of the jobs or the versions does."""
    job, last = status.job, status.last_job
    return (
        status.base,
        status.active_version,
        job and (job.id, job.state),
        last and (last.id, last.state),
    )
