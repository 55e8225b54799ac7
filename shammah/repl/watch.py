"""A thread that watches all jobs and the daemon's status for the chat; draws nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from shammah.client import Client
from shammah.errors import ShammahError
from shammah.protocol import JobEvent, Status
from shammah.repl.wording import job_end

_RECONNECT_SECONDS = 1.0


class JobWatch:
    """Follows every job from now on, quietly connecting again when the daemon restarts.

    Args:
        client: for this thread alone.
        ended: told the id and the line of a job that has ended.
        changed: called whenever `status` or `progress` is new.
    """

    def __init__(
        self,
        client: Client,
        ended: Callable[[int, str], None],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.status: Status | None = None
        self.progress: dict[str, Any] | None = None  # of the running job
        self._client = client
        self._ended = ended
        self._changed = changed
        self._after = -1

    def start(self) -> None:
        threading.Thread(target=self._run, name="job-watch", daemon=True).start()

    def refresh(self) -> None:
        """Read the status again; None while no daemon answers."""
        try:
            self.status = self._client.status()
        except ShammahError:
            self.status = None
            self.progress = None
        else:
            self.progress = self.status.job.progress if self.status.job else None
        self._changed()

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self.refresh()
            if self.status is not None:
                self._follow()
            pause.wait(_RECONNECT_SECONDS)

    def _follow(self) -> None:
        with suppress(ShammahError):  # the daemon went away: the next refresh shows it
            for event in self._client.job_events(after=self._after):
                self._after = event.id
                self._take(event)

    def _take(self, event: JobEvent) -> None:
        if event.kind == "progress":
            self.progress = event.data
            self._changed()
            return
        line = job_end(event)
        if line is not None:
            self._ended(event.job_id, line)
        self.refresh()
