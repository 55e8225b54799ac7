"""The page *Job*: the running job as it goes, and every former one with its report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import DataTable

from shammah.client import Client
from shammah.protocol import JobEvent, JobView
from shammah_tui import wording
from shammah_tui.curves import Curve, Curves
from shammah_tui.link import Link
from shammah_tui.messages import JobFetched, JobRecord, Snapshot
from shammah_tui.page import CANCEL, PAUSE, TRAIN, Page
from shammah_tui.panels import JobPanel, Line
from shammah_tui.report import Report
from shammah_tui.tables import JobTable

#: An optimizer step and a loss, nats a token.
Point = tuple[int, float]


class JobPage(Page):
    """The table's cursor chooses the job; on the first row it follows the newest."""

    NAME = "job"
    ABOUT = (
        "One job: its stages, the figures of its training, and its log. The table below has every "
        "former job; move in it to see one, press Enter for the gate's report."
    )
    BINDINGS = [  # noqa: RUF012  # declared so by Textual
        TRAIN,
        Binding("u", "app.train('quick')", "Quick", tooltip="Queue a quick lesson on what is new"),
        PAUSE,
        CANCEL,
        Binding(
            "g", "report", "Report", tooltip="What the gate found in the chosen job; Enter, too"
        ),
    ]
    AUTO_FOCUS = "#jobs"

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self._jobs: dict[int, JobView] = {}
        self._record: JobRecord | None = None
        self._losses: list[Point] = []
        self._held_out: list[Point] = []

    def content(self) -> ComposeResult:
        yield JobPanel(id="job")
        with Horizontal(id="course-of-it"):
            yield Curves("losses", "Loss, nats a token")
            with VerticalScroll(id="log") as log:
                log.border_title = "Log"
                yield Line("states")
        yield JobTable(id="jobs")

    def show(self, snapshot: Snapshot, now: datetime) -> None:
        self._jobs = {job.id: job for job in snapshot.jobs}
        if snapshot.status.job is not None:  # its progress is newer there
            self._jobs[snapshot.status.job.id] = snapshot.status.job
        self.query_one(JobTable).show(snapshot.jobs, now)
        if not self._jobs:
            self.query_one(JobPanel).show_running(snapshot.status)
        elif (job := self._chosen) is not None:
            record = self._record
            known = record is not None and record.job.id == job.id
            self.query_one(JobPanel).show_job(job, record.steps if record and known else [])

    def stamp(self, snapshot: Snapshot) -> object:
        job = snapshot.status.job
        return super().stamp(snapshot), len(snapshot.jobs), job and (job.id, job.state)

    def reload(self) -> None:
        if (job := self._chosen) is not None:
            number = job.id
            self.link.fetch(lambda client: JobFetched(record_of(client, number)), self.post_message)

    def on_data_table_row_highlighted(self, _event: DataTable.RowHighlighted) -> None:
        job = self._chosen
        if job is not None and (self._record is None or self._record.job.id != job.id):
            self.query_one(JobPanel).show_job(job)
            self.reload()

    def on_job_fetched(self, message: JobFetched) -> None:
        record = message.record
        if self._chosen is None or self._chosen.id != record.job.id:
            return  # the cursor has moved on
        self._record = record
        self._losses = [(one.step, one.loss) for one in record.steps]
        self._held_out = [
            (one.step, one.held_out_nll) for one in record.steps if one.held_out_nll is not None
        ]
        self.query_one(JobPanel).show_job(record.job, record.steps)
        self._show_losses()
        lines = wording.job_log(record.states, datetime.now().astimezone())
        self.query_one("#states", Line).show("\n".join(lines))
        self.query_one("#log", VerticalScroll).scroll_end(animate=False)

    def show_progress(self, event: JobEvent) -> None:
        if self._chosen is None or self._chosen.id != event.job_id:
            return
        self.query_one(JobPanel).show_progress(event.data)
        if self._record is None or self._record.job.id != event.job_id:
            return
        step, loss = event.data.get("step"), event.data.get("loss")
        if step is None or loss is None or (self._losses and self._losses[-1][0] >= step):
            return
        self._losses.append((step, loss))
        held_out = event.data.get("held_out_loss")
        # Every event repeats the newest measurement.
        if held_out is not None and held_out not in (nll for _, nll in self._held_out[-1:]):
            self._held_out.append((step, held_out))
        self._show_losses()

    def on_data_table_row_selected(self, _event: DataTable.RowSelected) -> None:
        self.action_report()

    def action_report(self) -> None:
        record = self._record
        if record is None or not record.job.report:
            self.notify("the gate has not judged this job", severity="warning", markup=False)
        else:
            title = f"{wording.job_title(record.job)}: {wording.result(record.job)}"
            self.app.push_screen(Report(title, record.job.report, record.questions))

    @property
    def _chosen(self) -> JobView | None:
        return self._jobs.get(self.query_one(JobTable).chosen or 0)

    def _show_losses(self) -> None:
        self.query_one(Curves).show(
            {
                "training": curve(self._losses, "primary"),
                "held out": curve(self._held_out, "warning", marks=True),
            }
        )


def curve(points: Sequence[Point], colour: str, *, marks: bool = False) -> Curve:
    return Curve([step for step, _ in points], [loss for _, loss in points], colour, marks)


def record_of(client: Client, job_id: int) -> JobRecord:
    job = client.job(job_id)
    questions = {}
    if job.report:
        questions = {one.id: one.question for one in client.examples()}
    return JobRecord(job, client.job_steps(job_id), client.job_states(job_id), questions)
