"""The page *Versions*: each with its scores and verdicts; compared, promoted, rolled back."""

from __future__ import annotations

from datetime import datetime

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.widgets import DataTable, Static

from shammah.client import Client
from shammah.protocol import VersionView
from shammah.wording import one_line, size
from shammah_tui import wording
from shammah_tui.compare import Compare
from shammah_tui.dialogs import Confirm
from shammah_tui.link import Link
from shammah_tui.messages import ChangeMade, Snapshot, VersionFetched
from shammah_tui.page import ROLL_BACK, Page
from shammah_tui.report import VerdictTable, checks
from shammah_tui.tables import RecordTable


class VersionScores(RecordTable):
    BORDER_TITLE = "Versions"
    HEADINGS = ("", "no", "type", "size", "made", "KL", "votes", "result")

    def show(self, versions: list[VersionView], now: datetime) -> None:
        self.show_rows(
            (
                one.number,
                (
                    "●" if one.active else "",
                    str(one.number),
                    one.quantization,
                    "pruned" if one.pruned_at else size(one.size_bytes),
                    wording.moment(one.created_at, now),
                    f"{one.report['kl_mean']:.3f}" if one.report else "",
                    wording.votes(one.votes),
                    one_line(one.summary),
                ),
            )
            for one in versions
        )


class Versions(Page):
    NAME = "versions"
    ABOUT = (
        "Every version that was promoted, and version 0, the base itself. ● marks the one that "
        "answers. KL says how far a version moved from the base on general questions, votes how "
        "often it won and lost in comparisons. Below: what the gate found, example by example."
    )
    CHANGING = frozenset({"promote", "delete"})
    BINDINGS = [  # noqa: RUF012  # declared so by Textual
        Binding("x", "compare", "Compare", tooltip="Ask this version and another one"),
        Binding("p", "promote", "Promote", tooltip="Serve this version, after a question"),
        ROLL_BACK,
        Binding("d", "delete", "Delete", tooltip="Delete this version, after a question"),
    ]
    AUTO_FOCUS = "#scores"

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self._versions: dict[int, VersionView] = {}
        self._shown: VersionFetched | None = None

    def content(self) -> ComposeResult:
        yield VersionScores(id="scores")
        with Vertical(id="found"):
            with VerticalScroll(id="gate") as gate:
                gate.border_title = "The gate"
                yield Static(id="checks", markup=False)
            yield VerdictTable(id="verdicts")

    def show(self, snapshot: Snapshot, now: datetime) -> None:
        self._versions = {one.number: one for one in snapshot.versions}
        self.query_one(VersionScores).show(snapshot.versions, now)
        if (chosen := self._chosen) is not None:
            self._title(chosen)

    def stamp(self, snapshot: Snapshot) -> object:
        status = snapshot.status
        return super().stamp(snapshot), status.base, status.active_version, len(snapshot.versions)

    def reload(self) -> None:
        if (chosen := self._chosen) is not None:
            number = chosen.number
            self.link.fetch(lambda client: fetched(client, number), self.post_message)

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        chosen = self._chosen
        if event.data_table.id != "scores" or chosen is None:
            return
        self._title(chosen)
        if self._shown is None or self._shown.version.number != chosen.number:
            self.reload()

    def on_version_fetched(self, message: VersionFetched) -> None:
        if self._chosen is None or self._chosen.number != message.version.number:
            return  # the cursor has moved on
        self._shown = message
        report = message.version.report
        base = "version 0 is the base itself: nothing was taught, nothing judged"
        self.query_one("#checks", Static).update(checks(report) if message.version.number else base)
        self.query_one(VerdictTable).show(report, message.questions)

    def action_compare(self) -> None:
        if (chosen := self._chosen) is not None:
            others = [one.number for one in self._versions.values() if one.number != chosen.number]
            if others:
                self.app.push_screen(Compare(self.link, chosen.number, list(self._versions)))
            else:
                self.notify("there is no other version to compare with", markup=False)

    def action_promote(self) -> None:
        chosen = self._chosen
        if chosen is None:
            return
        if chosen.active:
            self.notify(f"version {chosen.number} answers already", markup=False)
            return

        self.confirm(
            Confirm(
                f"Let version {chosen.number} of {chosen.base} answer?",
                one_line(chosen.summary) or "The one that answers now stays in the list.",
                yes="Promote it",
                no="Stay",
            ),
            lambda client: promoted(client, chosen.number),
        )

    def action_delete(self) -> None:
        chosen = self._chosen
        if chosen is None:
            return

        def delete(client: Client) -> ChangeMade:
            client.delete_version(chosen.number)
            return ChangeMade(f"version {chosen.number} is deleted")

        self.confirm(
            Confirm(
                f"Delete version {chosen.number} with its files?",
                "It can never answer again, and no rollback leads to it.",
                yes="Delete it",
                no="Keep it",
            ),
            delete,
        )

    @property
    def _chosen(self) -> VersionView | None:
        number = self.query_one(VersionScores).chosen
        return None if number is None else self._versions.get(number)

    def _title(self, chosen: VersionView) -> None:
        answers = ", answers now" if chosen.active else ""
        self.query_one("#gate").border_title = f"The gate on version {chosen.number}{answers}"


def promoted(client: Client, number: int | None = None) -> ChangeMade:
    """Let a version answer; without a number, the one that answered before."""
    version = client.rollback(number)
    return ChangeMade(f"version {version.number} of {version.base} answers now")


def fetched(client: Client, number: int) -> VersionFetched:
    version = client.version(number)
    questions = {one.id: one.question for one in client.examples()} if version.report else {}
    return VersionFetched(version, questions)
