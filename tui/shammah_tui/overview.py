"""The screen *Overview*: everything at a glance. Shows what it is handed, asks nobody."""

from __future__ import annotations

from datetime import datetime

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widgets import Footer, Header

from shammah.protocol import JobEvent
from shammah_tui.messages import Snapshot
from shammah_tui.panels import AbsencePanel, ExamplesPanel, JobPanel, ModelPanel
from shammah_tui.tables import JobTable, VersionTable


class Overview(Screen[None]):
    """Before the first snapshot it is empty; without a daemon the last figures stay, dimmed."""

    CSS_PATH = "overview.tcss"
    TITLE = "Shammah"

    def compose(self) -> ComposeResult:
        yield Header()
        yield AbsencePanel(id="absence")
        with Vertical(id="figures"):
            with Horizontal(id="present"):
                yield ModelPanel(id="model")
                yield ExamplesPanel(id="examples")
            yield JobPanel(id="job")
            with Horizontal(id="records"):
                yield JobTable(id="jobs")
                yield VersionTable(id="versions")
        yield Footer()

    def show(self, snapshot: Snapshot, now: datetime) -> None:
        status = snapshot.status
        self.add_class("-known")
        self.remove_class("-absent")
        self.sub_title = f"version {status.active_version} of {status.base or 'no base'}"
        self.query_one(ModelPanel).show(snapshot)
        self.query_one(ExamplesPanel).show(status)
        self.query_one(JobPanel).show(status.job, status.last_job)
        self.query_one(JobTable).show(snapshot.jobs, now)
        self.query_one(VersionTable).show(snapshot.versions, now)

    def show_progress(self, event: JobEvent) -> None:
        self.query_one(JobPanel).show_progress(event.data)

    def show_absence(self, message: str, hint: str) -> None:
        self.add_class("-absent")
        self.sub_title = "no daemon"
        self.query_one(AbsencePanel).show(message, hint)
