"""The page *Adapters*: what can be added to the model that serves, taken in and written out."""

from __future__ import annotations

from datetime import datetime

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import DataTable

from shammah.client import Client
from shammah.protocol import AdapterView
from shammah.wording import count, one_line, size
from shammah_tui import wording
from shammah_tui.adapter_dialogs import ImportAdapter, LoadAdapter
from shammah_tui.dialogs import Confirm
from shammah_tui.exporting import ExportAdapters
from shammah_tui.link import Link
from shammah_tui.messages import AdaptersFetched, ChangeMade, Snapshot
from shammah_tui.page import Page
from shammah_tui.panels import Line
from shammah_tui.tables import RecordTable


class AdapterTable(RecordTable):
    BORDER_TITLE = "Adapters"
    HEADINGS = ("", "name", "loaded", "rank", "size", "made", "source", "base")

    def show(
        self, adapters: list[AdapterView], numbers: dict[str, int], marked: set[str], now: datetime
    ) -> None:
        self.show_rows(
            (
                numbers[one.name],
                (
                    "✓" if one.name in marked else "●" if one.loaded else "",
                    one.name,
                    loading(one),
                    str(one.rank),
                    size(one.size_bytes),
                    wording.moment(one.created_at, now),
                    one.source,
                    one_line(one.base),
                ),
            )
            for one in adapters
        )


class Adapters(Page):
    NAME = "adapters"
    ABOUT = (
        "LoRA adapters: of the versions, and imported ones. ● marks what is added to the model "
        "that serves, from the next answer on. Space marks with ✓ what is to be merged into one "
        "model. Below the table: what the adapter changes, where it came from, and why it cannot "
        "be loaded where it cannot."
    )
    CHANGING = frozenset({"load", "unload", "import", "mark", "merge", "export", "delete"})
    BINDINGS = [  # noqa: RUF012  # declared so by Textual
        Binding("l", "load", "Load", tooltip="Add it to the model that serves; asks for a scale"),
        Binding("u", "unload", "Unload", tooltip="Take it off the model that serves"),
        Binding("i", "import", "Import", tooltip="Take in an adapter that PEFT or TRL has saved"),
        Binding("x", "export", "Export", tooltip="Write it for other programs"),
        Binding("space", "mark", "Mark", show=False, tooltip="Mark it for a merge, or no longer"),
        Binding("m", "merge", "Merge", tooltip="Write one model with the marked adapters in it"),
        Binding("d", "delete", "Delete", tooltip="Delete it with its files, after a question"),
    ]
    AUTO_FOCUS = "#table"

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self._adapters: dict[str, AdapterView] = {}
        self._numbers: dict[str, int] = {}  # rows keep theirs when others come and go
        self._marked: set[str] = set()

    def content(self) -> ComposeResult:
        yield AdapterTable(id="table")
        with VerticalScroll(id="adapter") as detail:
            detail.border_title = "Adapter"
            yield Line("detail")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        chosen = self._chosen if self._adapters else None
        if not super().check_action(action, parameters):
            return False
        if action in ("load", "export", "mark", "merge", "delete") and chosen is None:
            return None
        if action == "unload" and (chosen is None or chosen.scale is None):
            return None
        return True

    def stamp(self, snapshot: Snapshot) -> object:
        status = snapshot.status
        return (
            super().stamp(snapshot),
            status.base,
            status.active_version,
            tuple((one.name, one.scale) for one in status.adapters),
            status.disk and status.disk.adapters_bytes,
            len(snapshot.versions),
        )

    def reload(self) -> None:
        self.link.fetch(lambda client: AdaptersFetched(client.adapters()), self.post_message)

    def on_adapters_fetched(self, message: AdaptersFetched) -> None:
        self._adapters = {one.name: one for one in message.adapters}
        for name in self._adapters:
            self._numbers.setdefault(name, len(self._numbers))
        self._marked &= self._adapters.keys()
        self._show_adapters()

    def on_data_table_row_highlighted(self, _event: DataTable.RowHighlighted) -> None:
        self._show_chosen()

    def on_data_table_row_selected(self, _event: DataTable.RowSelected) -> None:
        if not self.link.read_only:
            self.action_load()

    def action_load(self) -> None:
        if (chosen := self._chosen) is not None:
            self.app.push_screen(LoadAdapter(self.link, chosen))

    def action_unload(self) -> None:
        chosen = self._chosen
        if chosen is None or chosen.scale is None:
            return

        def unload(client: Client) -> ChangeMade:
            client.unload_adapter(chosen.name)
            return ChangeMade(f"{chosen.name} is unloaded")

        self.link.change(unload)

    def action_import(self) -> None:
        self.app.push_screen(ImportAdapter(self.link))

    def action_export(self) -> None:
        if (chosen := self._chosen) is not None:
            self.app.push_screen(ExportAdapters(self.link, [chosen], "peft"))

    def action_mark(self) -> None:
        if (chosen := self._chosen) is not None:
            self._marked ^= {chosen.name}
            self._show_adapters()

    def action_merge(self) -> None:
        """The marked ones, or else the chosen one."""
        wanted = [one for one in self._adapters.values() if one.name in self._marked]
        if not wanted and (chosen := self._chosen) is not None:
            wanted = [chosen]
        if wanted:
            self.app.push_screen(ExportAdapters(self.link, wanted, "merged-gguf"))

    def action_delete(self) -> None:
        chosen = self._chosen
        if chosen is None:
            return
        if chosen.version is not None:
            self.notify(
                f"{chosen.name} belongs to version {chosen.version}: it goes with it, on the page "
                "Versions",
                severity="warning",
                markup=False,
            )
            return

        def delete(client: Client) -> ChangeMade:
            if chosen.scale is not None:
                client.unload_adapter(chosen.name)
            client.delete_adapter(chosen.name)
            return ChangeMade(f"{chosen.name} is deleted")

        first = "It is loaded, and is unloaded first. " if chosen.scale is not None else ""
        self.confirm(
            Confirm(
                f"Delete {chosen.name} with its files?",
                f"{first}What it was imported from is not touched.",
                yes="Delete it",
                no="Keep it",
            ),
            delete,
        )

    @property
    def _chosen(self) -> AdapterView | None:
        row = self.query_one(AdapterTable).chosen
        found = (one for one in self._adapters.values() if self._numbers[one.name] == row)
        return next(found, None)

    def _show_adapters(self) -> None:
        table = self.query_one(AdapterTable)
        found = list(self._adapters.values())
        table.show(found, self._numbers, self._marked, datetime.now().astimezone())
        table.border_title = "Adapters" if found else "No adapters yet"
        marked = f" · {len(self._marked)} marked: m merges" if self._marked else ""
        table.border_subtitle = count(len(found), "adapter") + marked
        self._show_chosen()

    def _show_chosen(self) -> None:
        chosen = self._chosen
        nothing = "none yet: a lesson makes one, i takes one in"
        self.query_one("#adapter").border_title = chosen.name if chosen else "Adapter"
        self.query_one("#detail", Line).show(described(chosen) if chosen else nothing)
        self.refresh_bindings()


def loading(adapter: AdapterView) -> str:
    """`at 0.5`; `waits` where it was loaded, but what serves now cannot have it."""
    if adapter.scale is None:
        return ""
    return f"at {adapter.scale:g}" if adapter.loaded else "waits"


def described(adapter: AdapterView) -> Content:
    """What it changes, where it came from, and what keeps it from being loaded."""
    times = f"rank {adapter.rank}, alpha {adapter.alpha:g}: times {adapter.scaling:g}"
    fields = [
        ("changes", f"{', '.join(adapter.modules)} of {adapter.base} ({adapter.base_sha256[:12]})"),
        ("by", times),
        ("from", one_line(adapter.origin)),
    ]
    if adapter.scale is not None:
        fields.append(("loaded", f"at scale {adapter.scale:g}"))
    lines = [Content.assemble((f"{name:<9}", "dim"), one_line(text)) for name, text in fields]
    if adapter.remark:
        lines.append(Content.styled(one_line(adapter.remark), "$text-warning"))
    if adapter.problem:
        kept = "loaded, but not added" if adapter.scale is not None else "cannot be loaded"
        lines.append(Content.styled(f"{kept}: {one_line(adapter.problem)}", "$text-warning"))
    return Content("\n").join(lines)
