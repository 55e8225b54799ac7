"""The panels of figures: the model, the examples, the job, the health, and the daemon's absence.

Each shows plain values that it is handed; none knows where they come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import ProgressBar, Static

from shammah.protocol import JobView, Status, StepView
from shammah.wording import one_line
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
        yield Line("waiting")

    def show(self, status: Status) -> None:
        self.line("counts").show(wording.examples(status.examples))
        self.bar().update(total=status.threshold, progress=status.threshold - status.missing)
        self.line("missing").show(wording.until_next_lesson(status))
        self.line("waiting").show(wording.inbox(status.inbox))


class JobPanel(Panel):
    """One job: where it is, and the figures of its present stage."""

    BORDER_TITLE = "Job"

    def compose(self) -> ComposeResult:
        yield Line("rail")
        yield ProgressBar(total=1.0, show_eta=False, id="fraction")
        yield Line("course")
        yield Line("rates")

    def show_running(self, status: Status) -> None:
        """The unfinished job, or why there is none and how the one before it ended."""
        if status.job is not None:
            self.show_job(status.job)
            return
        self.set_class(True, "-idle")
        self.border_title = "Next job"
        self.line("rail").show(wording.next_job(status))

    def show_job(self, job: JobView, steps: Sequence[StepView] = ()) -> None:
        """Any job; `steps`: what is known of its training."""
        self.border_title = wording.job_title(job)
        self.set_class(job.state.is_final, "-idle")
        if job.state.is_final:
            self.line("rail").show(wording.ended_job(job, steps))
        else:
            self.line("rail").show(wording.stage_rail(wording.stage_of(job)))
            self.show_progress(job.progress)

    def show_progress(self, progress: dict[str, Any]) -> None:
        """Progress in the present stage; fields as in `protocol.JobEvent`."""
        self.bar().update(progress=progress.get("fraction", 0.0))
        self.line("course").show(wording.course(progress))
        self.line("rates").show(wording.rates(progress))


class HealthPanel(Panel):
    """What is wrong or waits for the user; says so too when there is nothing."""

    BORDER_TITLE = "Health"

    def compose(self) -> ComposeResult:
        yield Line("findings")

    def show(self, status: Status) -> None:
        self.line("findings").show(wording.health(status))


class AbsencePanel(Panel):
    """Stands above the figures while no daemon answers."""

    BORDER_TITLE = "No daemon"

    def compose(self) -> ComposeResult:
        yield Line("problem")
        yield Line("remedy")
        yield Line("retry")

    def show(self, message: str, hint: str, *, can_start: bool) -> None:
        self.line("problem").show(one_line(message))
        remedies = [one_line(hint)] if hint else []
        remedies += ["press S here"] if can_start else []
        self.line("remedy").show(", or ".join(remedies))
        self.line("retry").show("This screen connects by itself as soon as a daemon answers.")
