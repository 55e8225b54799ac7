"""The panels of figures: the model, the examples, the job, and the daemon's absence.

Each shows plain values that it is handed; none knows where they come from.
"""

from __future__ import annotations

from typing import Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import ProgressBar, Static

from shammah.protocol import JobView, Status
from shammah.wording import one_line, progress_details
from shammah_tui import wording
from shammah_tui.messages import Snapshot


class Line(Static):
    """Text that is drawn again only when it is another one; markup in it has no meaning."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id, markup=False)

    def show(self, text: Content | str) -> None:
        if text != self.content:
            self.update(text)


class Panel(Vertical):
    """A bordered box of lines."""

    def line(self, id: str) -> Line:
        return self.query_one(f"#{id}", Line)

    def bar(self) -> ProgressBar:
        return self.query_one(ProgressBar)


class ModelPanel(Panel):
    BORDER_TITLE = "Model"

    def compose(self) -> ComposeResult:
        for name in ("base", "version", "engine", "daemon"):
            yield Line(name)

    def show(self, snapshot: Snapshot) -> None:
        status = snapshot.status
        self._field("base", wording.base(status.base))
        self._field("version", wording.version(status.active_version, snapshot.active))
        self._field("engine", wording.engine(status.engine))
        self._field("daemon", wording.daemon(status))
        self.line("engine").set_class(status.engine.state == "failed", "-failed")

    def _field(self, name: str, value: str) -> None:
        self.line(name).show(f"{name:<8}{value}")


class ExamplesPanel(Panel):
    BORDER_TITLE = "Examples"

    def compose(self) -> ComposeResult:
        yield Line("counts")
        yield ProgressBar(total=1.0, show_percentage=False, show_eta=False, id="gathered")
        yield Line("missing")
        yield Line("teachability")

    def show(self, status: Status) -> None:
        self.line("counts").show(wording.examples(status.examples))
        self.bar().update(total=status.threshold, progress=status.threshold - status.missing)
        self.line("missing").show(wording.until_next_lesson(status))
        self.line("teachability").show(wording.teachability(status.preparation))


class JobPanel(Panel):
    BORDER_TITLE = "Job"

    def compose(self) -> ComposeResult:
        yield Line("rail")
        yield ProgressBar(total=1.0, show_eta=False, id="fraction")
        yield Line("details")
        yield Line("last")

    def show(self, job: JobView | None, last: JobView | None) -> None:
        """The running job if there is one, and how the one before it ended."""
        self.set_class(job is None, "-idle")
        self.line("last").show(wording.last_job(last) if last else "no job has ended yet")
        self.border_title = wording.job_title(job)
        if job is None:
            self.line("rail").show("no job is running; press t to train now")
        else:
            self.line("rail").show(wording.stage_rail(job.state))
            self.show_progress(job.progress)

    def show_progress(self, progress: dict[str, Any]) -> None:
        """Progress in the present stage; fields as in `protocol.JobEvent`."""
        self.bar().update(progress=progress.get("fraction", 0.0))
        self.line("details").show(progress_details(progress))


class AbsencePanel(Panel):
    """Stands above the figures while no daemon answers."""

    BORDER_TITLE = "No daemon"

    def compose(self) -> ComposeResult:
        yield Line("problem")
        yield Line("remedy")
        yield Line("retry")

    def show(self, message: str, hint: str) -> None:
        self.line("problem").show(one_line(message))
        self.line("remedy").show(one_line(hint))
        self.line("retry").show("This screen connects by itself as soon as a daemon answers.")
