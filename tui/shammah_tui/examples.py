"""The page *Examples*: what was marked, corrected and taught; found, mended and forgotten here."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import DataTable

from shammah.client import Client
from shammah.protocol import ExampleView, InboxItem
from shammah.records import ExampleStatus
from shammah.wording import count, one_line, printable
from shammah_tui.dialogs import Confirm, EditTarget
from shammah_tui.difference import in_colour
from shammah_tui.filters import Filter
from shammah_tui.link import Link
from shammah_tui.messages import ChangeMade, ExamplesFetched, Snapshot
from shammah_tui.panels import Line
from shammah_tui.report import VERDICTS
from shammah_tui.review import Review
from shammah_tui.searching import FILTER, FilteredPage, FilterLine
from shammah_tui.tables import RecordTable

EXAMPLES = Filter[ExampleView](
    fields={
        "id": lambda one: str(one.id),
        "status": lambda one: one.status,
        "level": lambda one: one.level,
        "verdict": lambda one: one.verdict or "none",
        "taught": lambda one: "yes" if one.taught else "no",
    },
    text=lambda one: "\n".join(
        [one.question, one.target or "", one.rejected or "", one.note or ""]
    ),
)

#: What the key `s` goes through.
STATUSES = [str(status) for status in ExampleStatus if status is not ExampleStatus.FORGOTTEN]


class ExampleTable(RecordTable):
    BORDER_TITLE = "Examples"
    HEADINGS = ("id", "level", "status", "taught", "verdict", "question")

    def show(self, examples: list[ExampleView]) -> None:
        self.show_rows(
            (
                one.id,
                (
                    str(one.id),
                    one.level,
                    one.status,
                    "yes" if one.taught else "",
                    VERDICTS[one.verdict] if one.verdict else "",
                    one_line(one.question),
                ),
            )
            for one in examples
        )


class Examples(FilteredPage):
    NAME = "examples"
    ABOUT = (
        "Everything that you marked. Type after / to filter: words are looked for in questions, "
        "answers and notes; `status:ready`, `level:critical`, `verdict:still_wrong` and "
        "`taught:no` select by field. Below the table: what the answer should be, with what was "
        "wrong struck through and what is new underlined."
    )
    CHANGING = frozenset({"edit", "forget"})
    BINDINGS = [  # noqa: RUF012  # declared so by Textual
        FILTER,
        Binding("s", "status", "Status", tooltip="Show one status after the other"),
        Binding("e", "edit", "Edit", tooltip="Write or mend the right answer"),
        Binding("f", "forget", "Forget", tooltip="Erase the example for ever, after a question"),
        Binding("i", "review", "Inbox", tooltip="Go through what waits for your word"),
    ]
    AUTO_FOCUS = "#table"

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self._examples: dict[int, ExampleView] = {}  # newest first
        self._inbox: list[InboxItem] = []

    def content(self) -> ComposeResult:
        yield FilterLine(
            "/ filters: words, status:ready level:critical verdict:still_wrong taught:no",
            tuple(EXAMPLES.fields),
        )
        yield ExampleTable(id="table")
        with VerticalScroll(id="example") as detail:
            detail.border_title = "Example"
            yield Line("detail")

    def stamp(self, snapshot: Snapshot) -> object:
        status = snapshot.status
        return (
            super().stamp(snapshot),
            status.active_version,
            tuple(status.examples.items()),
            tuple(status.inbox.items()),
            status.last_job and status.last_job.id,
        )

    def reload(self) -> None:
        self.link.fetch(
            lambda client: ExamplesFetched(client.examples(), client.inbox()), self.post_message
        )

    def on_examples_fetched(self, message: ExamplesFetched) -> None:
        self._examples = {one.id: one for one in message.examples}
        self._inbox = message.inbox
        self.show_selected()

    def show_selected(self) -> None:
        found = self.selected(EXAMPLES, self._examples.values())
        table = self.query_one(ExampleTable)
        table.show(found)
        table.border_title = "Examples" if self._examples else "No examples yet"
        shown = count(len(self._examples), "example")
        if len(found) < len(self._examples):
            shown = f"{len(found)} of {shown}"
        waiting = f" · {len(self._inbox)} in the inbox (i)" if self._inbox else ""
        table.border_subtitle = shown + waiting
        self._show_chosen()

    def on_data_table_row_highlighted(self, _event: DataTable.RowHighlighted) -> None:
        self._show_chosen()

    def on_data_table_row_selected(self, _event: DataTable.RowSelected) -> None:
        if not self.link.read_only:
            self.action_edit()

    def action_status(self) -> None:
        self.query_one(FilterLine).cycle("status", STATUSES)

    def action_edit(self) -> None:
        if (chosen := self._chosen) is not None:
            self.app.push_screen(EditTarget(self.link, chosen))

    def action_forget(self) -> None:
        if (chosen := self._chosen) is None:
            return

        def forget(client: Client) -> ChangeMade:
            return ChangeMade(client.forget(chosen.id).message)

        self.confirm(
            Confirm(
                f"Forget example {chosen.id} for ever?",
                f"“{one_line(chosen.question)}”: its question, answers and notes are erased at "
                "once. What the model has learned of it goes with the next lesson.",
                yes="Forget it",
                no="Keep it",
            ),
            forget,
        )

    def action_review(self) -> None:
        if self._inbox:
            self.app.push_screen(Review(self.link))
        else:
            self.notify("nothing waits for you", markup=False)

    @property
    def _chosen(self) -> ExampleView | None:
        return self._examples.get(self.query_one(ExampleTable).chosen or 0)

    def _show_chosen(self) -> None:
        chosen = self._chosen
        self.query_one("#example").border_title = f"Example {chosen.id}" if chosen else "Example"
        self.query_one("#detail", Line).show(described(chosen) if chosen else "")


def described(example: ExampleView) -> Content:
    """The question, the right answer held against the one that was given, and what was noted."""
    lines = [
        Content.assemble(("asked     ", "dim"), (printable(example.question), "bold")),
    ]
    if example.target is None:
        lines.append(Content.assemble(("answered  ", "dim"), printable(example.rejected or "")))
        lines.append(Content.styled("no right answer yet: e writes it", "$text-warning"))
    elif example.rejected:
        lines.append(
            Content.styled("answer    ", "dim") + in_colour(example.rejected, example.target)
        )
    else:
        lines.append(Content.assemble(("answer    ", "dim"), printable(example.target)))
    if example.note:
        lines.append(Content.assemble(("note      ", "dim"), printable(example.note)))
    history = len(example.messages) - 1
    facts = [f"weight {example.weight}"]
    if history:
        facts.append(f"after {count(history, 'message')}")
    if example.superseded_by is not None:
        facts.append(f"example {example.superseded_by} holds instead")
    lines.append(Content.styled(" · ".join(facts), "dim"))
    return Content("\n").join(lines)
