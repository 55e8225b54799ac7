"""The page *Settings*: every key of the configuration, what it means, may be and is."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import DataTable

from shammah.client import Client
from shammah.protocol import SettingView
from shammah.wording import count
from shammah_tui.dialogs import Confirm, EditSetting, may_be
from shammah_tui.filters import Filter
from shammah_tui.link import Link
from shammah_tui.messages import ChangeMade, SettingsFetched
from shammah_tui.panels import Line
from shammah_tui.searching import FILTER, FilteredPage, FilterLine
from shammah_tui.tables import RecordTable

SETTINGS = Filter[SettingView](
    fields={"source": lambda one: one.source, "section": lambda one: one.key.split(".")[0]},
    text=lambda one: f"{one.key} {one.description} {one.value}",
)

SOURCES = ["file", "environment", "default"]


class SettingTable(RecordTable):
    BORDER_TITLE = "Settings"
    HEADINGS = ("", "key", "value", "default")

    def show(self, settings: list[SettingView], numbers: dict[str, int]) -> None:
        self.show_rows(
            (
                numbers[one.key],
                (
                    "↻" if one.needs_restart else "•" if one.value != one.default else "",
                    one.key,
                    one.value,
                    one.default,
                ),
            )
            for one in settings
        )


class Settings(FilteredPage):
    NAME = "settings"
    ABOUT = (
        "Every setting. • marks what differs from its default, ↻ what the daemon takes up only "
        "when it starts again: that is every change, and R does it. A setting that the "
        "environment makes cannot be changed here."
    )
    CHANGING = frozenset({"edit", "reset", "restart"})
    BINDINGS = [  # noqa: RUF012  # declared so by Textual
        FILTER,
        Binding("o", "source", "Source", tooltip="Show what the file, the environment, nobody set"),
        Binding("e,enter", "edit", "Change", key_display="e", tooltip="Change the value"),
        Binding("d", "reset", "Default", tooltip="Go back to the default"),
        Binding("R", "restart", "Restart", tooltip="Restart the daemon, so that changes hold"),
    ]
    AUTO_FOCUS = "#table"

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self._settings: list[SettingView] = []

    def content(self) -> ComposeResult:
        yield FilterLine("/ filters: words, section:learning source:file", tuple(SETTINGS.fields))
        yield SettingTable(id="table")
        with VerticalScroll(id="setting") as detail:
            detail.border_title = "Setting"
            yield Line("meaning")

    def reload(self) -> None:
        self.link.fetch(lambda client: SettingsFetched(client.settings()), self.post_message)

    def on_settings_fetched(self, message: SettingsFetched) -> None:
        self._settings = message.settings
        self.show_selected()

    def show_selected(self) -> None:
        numbers = {one.key: number for number, one in enumerate(self._settings)}
        found = self.selected(SETTINGS, self._settings)
        table = self.query_one(SettingTable)
        table.show(found, numbers)
        waiting = sum(one.needs_restart for one in self._settings)
        table.border_subtitle = (
            f"{count(waiting, 'change')} for the next start: R restarts the daemon"
            if waiting
            else count(len(found), "setting")
        )
        self._show_chosen()

    def on_data_table_row_highlighted(self, _event: DataTable.RowHighlighted) -> None:
        self._show_chosen()

    def on_data_table_row_selected(self, _event: DataTable.RowSelected) -> None:
        if not self.link.read_only:
            self.action_edit()

    def action_source(self) -> None:
        self.query_one(FilterLine).cycle("source", SOURCES)

    def action_edit(self) -> None:
        chosen = self._chosen
        if chosen is not None and not self._is_fixed(chosen):
            self.app.push_screen(
                EditSetting(
                    self.link, chosen, lambda client, text: changed(client, chosen.key, text)
                )
            )

    def action_reset(self) -> None:
        chosen = self._chosen
        if chosen is not None and not self._is_fixed(chosen):
            self.link.change(lambda client: changed(client, chosen.key, None))

    def action_restart(self) -> None:
        def answer(wanted: bool | None) -> None:
            if wanted:
                self.notify("restarting the daemon", markup=False)
                self.link.command_daemon("restart")

        self.app.push_screen(
            Confirm(
                "Restart the daemon?",
                "Answers under way are finished first. A running job goes on afterwards.",
                yes="Restart it",
                no="Not now",
            ),
            answer,
        )

    @property
    def _chosen(self) -> SettingView | None:
        number = self.query_one(SettingTable).chosen
        return None if number is None else self._settings[number]

    def _is_fixed(self, setting: SettingView) -> bool:
        if setting.source == "environment":
            section, name = setting.key.upper().split(".")
            self.notify(
                f"the environment of the daemon sets it: SHAMMAH_{section}__{name}",
                severity="warning",
                markup=False,
            )
        return setting.source == "environment"

    def _show_chosen(self) -> None:
        chosen = self._chosen
        self.query_one("#setting").border_title = chosen.key if chosen else "Setting"
        self.query_one("#meaning", Line).show(described(chosen) if chosen else "")


def described(setting: SettingView) -> Content:
    """What it means, may be and is."""
    origin = {
        "default": "the default",
        "file": "from config.toml",
        "environment": "from the environment of the daemon",
    }[setting.source]
    lines = [
        Content.styled(setting.description, "bold"),
        Content.assemble(("value    ", "dim"), f"{setting.value or 'empty'}, {origin}"),
        Content.assemble(("default  ", "dim"), setting.default or "empty"),
        Content.assemble(("may be   ", "dim"), may_be(setting)),
    ]
    if setting.needs_restart:
        lines.append(
            Content.styled(
                f"the daemon still works with {setting.running or 'empty'}: R restarts it",
                "$text-warning",
            )
        )
    return Content("\n").join(lines)


def changed(client: Client, key: str, value: str | None) -> ChangeMade:
    now = client.change_setting(key, value)
    effect = "; it holds when the daemon starts again" if now.needs_restart else ""
    if now.read_by == "chat":
        effect = "; the next chat uses it"
    return ChangeMade(f"{key} = {now.value or 'empty'}{effect}")
