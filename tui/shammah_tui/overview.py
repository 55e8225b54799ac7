"""The page *Overview*: everything at a glance. Shows what it is handed, asks nobody."""

from __future__ import annotations

from datetime import datetime

from textual.app import ComposeResult
from textual.containers import Horizontal

from shammah.protocol import JobEvent
from shammah_tui.link import Link
from shammah_tui.messages import Snapshot
from shammah_tui.page import CANCEL, PAUSE, ROLL_BACK, TRAIN, Page
from shammah_tui.panels import ExamplesPanel, HealthPanel, JobPanel, ModelPanel
from shammah_tui.tables import JobTable, VersionTable


class Overview(Page):
    NAME = "overview"
    ABOUT = (
        "The model that answers, the examples and how many more start a lesson, the running job "
        "or why none runs, and what is wrong or waits for you."
    )
    BINDINGS = [TRAIN, PAUSE, CANCEL, ROLL_BACK]  # noqa: RUF012  # declared so by Textual

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self._job_id: int | None = None  # of the unfinished job

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
        self._job_id = status.job.id if status.job else None
        self.query_one(ModelPanel).show(snapshot)
        self.query_one(ExamplesPanel).show(status)
        self.query_one(JobPanel).show_running(status)
        self.query_one(HealthPanel).show(status)
        self.query_one(JobTable).show(snapshot.jobs, now)
        self.query_one(VersionTable).show(snapshot.versions, now)

    def show_progress(self, event: JobEvent) -> None:
        if event.job_id == self._job_id:
            self.query_one(JobPanel).show_progress(event.data)
