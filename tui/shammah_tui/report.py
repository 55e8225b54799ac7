"""What the gate found in a job: its checks, and a verdict for every example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from shammah.wording import one_line
from shammah_tui.tables import RecordTable

#: What stands for a question whose example was erased.
FORGOTTEN = "(forgotten)"

VERDICTS = {"learned": "learned", "still_wrong": "still wrong", "got_worse": "got worse"}


class VerdictTable(RecordTable):
    """The examples that were judged, the wrong ones first."""

    BORDER_TITLE = "Verdicts"
    HEADINGS = ("id", "verdict", "question", "why")

    def show(self, report: Mapping[str, Any], questions: Mapping[int, str]) -> None:
        verdicts = sorted(
            report.get("verdicts", []),
            key=lambda one: (one["verdict"] == "learned", one["example_id"]),
        )
        self.show_rows(
            (
                one["example_id"],
                (
                    str(one["example_id"]),
                    VERDICTS[one["verdict"]],
                    one_line(questions.get(one["example_id"], FORGOTTEN)),
                    one_line(one["why"]),
                ),
            )
            for one in verdicts
        )


def checks(report: Mapping[str, Any]) -> Content:
    """A line for each of the gate's questions, and its warnings."""
    if not report:
        return Content.styled("the gate has not judged it", "dim")
    lines = [
        Content.assemble(
            ("✓ passed  ", "$text-success") if check["passed"] else ("✗ failed  ", "$text-error"),
            (f"{check['name']}: ", "bold"),
            one_line(check["detail"]),
        )
        for check in report["checks"]
    ]
    lines += [
        Content.styled(f"! {one_line(warning)}", "$text-warning") for warning in report["warnings"]
    ]
    if len(report.get("attempts", [])) > 1:
        tried = ", ".join(
            f"{one['quantization']}" + (f" at {one['scale']:g}" if one["scale"] != 1 else "")
            for one in report["attempts"]
        )
        lines.append(Content(f"tried: {tried}"))
    return Content("\n").join(lines)


class Report(ModalScreen[None]):
    """The report of one job or version."""

    BINDINGS = [Binding("escape,enter,q", "dismiss", "Close")]  # noqa: RUF012

    def __init__(self, title: str, report: Mapping[str, Any], questions: Mapping[int, str]) -> None:
        super().__init__()
        self._title, self._report, self._questions = title, report, questions

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog large") as dialog:
            dialog.border_title = self._title
            dialog.border_subtitle = "Esc closes"
            yield Static(checks(self._report), id="checks", markup=False)
            yield VerdictTable(id="verdicts")

    def on_mount(self) -> None:
        self.query_one(VerdictTable).show(self._report, self._questions)
