"""The monitor's application: keys on one side, the daemon's news on the other, the screen between.

Knows neither how the daemon is reached (`link`) nor how a figure is drawn (`overview`).
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from textual.app import App
from textual.binding import Binding

from shammah.client import Port, place
from shammah.errors import ShammahError, UsageError
from shammah.paths import Paths
from shammah.protocol import JobView, Status
from shammah.wording import one_line
from shammah_tui import wording
from shammah_tui.dialogs import ConfirmCancel, Help
from shammah_tui.link import Link
from shammah_tui.messages import (
    DaemonLost,
    DaemonSeen,
    JobCancelled,
    JobMoved,
    JobQueued,
    LinkBroke,
    RequestRefused,
)
from shammah_tui.overview import Overview


class Monitor(App[None]):
    """Watches the daemon behind a socket or a port; outlives it."""

    TITLE = "Shammah"
    BINDINGS = [  # noqa: RUF012  # declared so by Textual
        Binding("q", "quit", "Quit"),
        Binding("r", "look", "Refresh"),
        Binding("t", "train", "Train now"),
        Binding("c", "cancel_job", "Cancel job"),
        Binding("f1,question_mark", "help", "Help", key_display="F1"),
    ]

    def __init__(self, daemon: Path | Port) -> None:
        super().__init__()
        self._link = Link(daemon, self.post_message)
        self._overview = Overview()
        self._status: Status | None = None  # the newest; None while no daemon answers

    def on_mount(self) -> None:
        self.push_screen(self._overview)
        self._link.open()

    def on_unmount(self) -> None:
        self._link.close()

    # keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Greys out what has no object now."""
        return None if action == "cancel_job" and self._job is None else True

    def action_look(self) -> None:
        self._link.refresh()

    def action_train(self) -> None:
        self._link.train()

    def action_cancel_job(self) -> None:
        if (job := self._job) is None:
            return

        def answer(cancel: bool | None) -> None:
            if cancel:
                self._link.cancel(job.id)

        self.push_screen(ConfirmCancel(job.id), answer)

    def action_help(self) -> None:
        self.push_screen(Help())

    # news

    def on_daemon_seen(self, message: DaemonSeen) -> None:
        snapshot = message.snapshot
        self._overview.show(snapshot, datetime.now().astimezone())
        ended = newly_ended(self._status, snapshot.status)
        if ended is not None and ended.state != "cancelled":  # by a key here, or by one who knows
            self._tell_end(ended)
        self._take(snapshot.status)

    def on_daemon_lost(self, message: DaemonLost) -> None:
        self._overview.show_absence(message.message, message.hint)
        self._take(None)

    def on_job_moved(self, message: JobMoved) -> None:
        event = message.event
        if event.kind == "state":
            self._link.refresh()
        elif self._job is not None and event.job_id == self._job.id:
            self._overview.show_progress(event)

    def on_job_queued(self, message: JobQueued) -> None:
        self._tell(f"job {message.job.id} is {message.job.state}")

    def on_job_cancelled(self, message: JobCancelled) -> None:
        self._tell(f"job {message.job.id} is cancelled")

    def on_request_refused(self, message: RequestRefused) -> None:
        self.notify(
            one_line(message.hint),
            title=one_line(message.message),
            severity="error",
            markup=False,
        )

    def on_link_broke(self, message: LinkBroke) -> None:
        raise message.error

    @property
    def _job(self) -> JobView | None:
        return self._status.job if self._status else None

    def _take(self, status: Status | None) -> None:
        before = self._job
        self._status = status
        if before != self._job:
            self.refresh_bindings()

    def _tell_end(self, job: JobView) -> None:
        self.notify(
            wording.result(job),
            title=f"job {job.id} {job.state}",
            severity="information" if job.state == "promoted" else "warning",
            markup=False,
        )

    def _tell(self, text: str) -> None:
        self.notify(text, markup=False)


def newly_ended(before: Status | None, now: Status) -> JobView | None:
    """The job that has ended between two looks at the daemon."""
    if before is None or now.last_job is None:
        return None
    known = before.last_job is not None and before.last_job.id == now.last_job.id
    return None if known else now.last_job


def main() -> NoReturn:
    """Show the monitor until the user quits."""
    try:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):  # Textual draws on stderr
            raise UsageError(
                "the monitor needs a terminal", hint="'shammah status' prints the same figures"
            )
        monitor = Monitor(place(Paths.from_environment()))
        monitor.run()
    except ShammahError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)
    sys.exit(monitor.return_code or 0)
