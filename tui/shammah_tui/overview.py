"""The page *Overview*: everything at a glance. Shows what it is handed, asks nobody."""

from __future__ import annotations

from datetime import datetime

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal

from shammah.protocol import JobEvent
from shammah_tui.messages import Snapshot
from shammah_tui.page import Page
from shammah_tui.panels import ExamplesPanel, HealthPanel, JobPanel, ModelPanel
from shammah_tui.tables import JobTable, VersionTable


class Overview(Page):
    NAME = "overview"
    ABOUT = (
        "The model that answers, the examples and how many more start a lesson, the running job "
        "or why none runs, and what is wrong or waits for you."
    )
    BINDINGS = [  # noqa: RUF012  # declared so by Textual
        Binding("t", "app.train", "Train", tooltip="Queue a lesson on every ready example"),
        Binding("p", "app.pause", "Pause", tooltip="Pause the running job, or let it go on"),
        Binding(
            "c", "app.cancel_job", "Cancel", tooltip="Cancel the running job, after a question"
        ),
        Binding(
            "b", "app.roll_back", "Roll back", tooltip="Serve the version before, after a question"
        ),
    ]

    def content(self) -> ComposeResult:
        with Horizontal(id="present"):
            yield ModelPanel(id="model")
            yield ExamplesPanel(id="examples")
        yield JobPanel(id="job")
        yield HealthPanel(id="health")
        with Horizontal(id="records"):
            yield JobTable(id="jobs")
            yield VersionTable(id="versions")

    def show(self, snapshot: Snapshot, now: datetime) -> None:
        status = snapshot.status
        self.query_one(ModelPanel).show(snapshot)
        self.query_one(ExamplesPanel).show(status)
        self.query_one(JobPanel).show_running(status)
        self.query_one(HealthPanel).show(status)
        self.query_one(JobTable).show(snapshot.jobs, now)
        self.query_one(VersionTable).show(snapshot.versions, now)

    def show_progress(self, event: JobEvent) -> None:
        self.query_one(JobPanel).show_progress(event.data)
