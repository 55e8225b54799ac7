"""The page *Hardware*: the machine now, and its last hour or day."""

from __future__ import annotations

from datetime import datetime

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Grid, VerticalScroll

from shammah.client import Client
from shammah.protocol import HardwareHistory, HistorySpan
from shammah_tui import machine
from shammah_tui.curves import Curves
from shammah_tui.link import Link
from shammah_tui.messages import FetchFailed, HardwareFetched
from shammah_tui.page import Page
from shammah_tui.panels import Line

#: How often the page looks while it is open.
LOOK_SECONDS = 2.0

#: A look in so many asks for the curves too: drawing them costs more than all else.
CURVES_EVERY = 5


class HardwarePage(Page):
    NAME = "hardware"
    ABOUT = (
        "The machine: processor by core, memory, swap, disk, and each GPU with what serving and "
        "training hold of its memory; the curves show the last hour or the last day. The daemon "
        "samples it, often while somebody looks here."
    )
    BINDINGS = [  # noqa: RUF012  # declared so by Textual
        Binding("h", "span('hour')", "Hour", tooltip="The last hour"),
        Binding("d", "span('day')", "Day", tooltip="The last day"),
    ]
    AUTO_FOCUS = "#now"

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self._span: HistorySpan = "hour"
        self._awaited = False
        self._looks = 0

    def content(self) -> ComposeResult:
        with VerticalScroll(id="now") as now:
            now.border_title = "Now"
            yield Line("figures-now")
        with Grid(id="curves"):
            yield Curves("cpu", "Processor, percent")
            yield Curves("memory", "Memory, GB")
            yield Curves("heat", "Temperature, °C")
            yield Curves("gpu", "GPU, percent")

    def on_mount(self) -> None:
        self.set_interval(LOOK_SECONDS, self.reload)

    def reload(self) -> None:
        """Look again, but only while this page is open: the daemon samples oftener then."""
        if self._awaited or self.app.screen is not self:
            return
        self._awaited = True
        span = self._span if self._looks % CURVES_EVERY == 0 else None
        self._looks += 1
        self.link.fetch(lambda client: fetched(client, span), self.post_message)

    def on_hardware_fetched(self, message: HardwareFetched) -> None:
        self._awaited = False
        self.query_one("#figures-now", Line).show(
            machine.described(message.sample, self.size.width)
        )
        if message.history is not None:
            self._show_history(message.history)

    def on_fetch_failed(self, _message: FetchFailed) -> None:
        self._awaited = False

    def action_span(self, span: HistorySpan) -> None:
        self._span = span
        self._looks = 0
        self.reload()

    def _show_history(self, history: HardwareHistory) -> None:
        drawn = machine.curves(history)
        ticks = machine.ticks(history, datetime.now().astimezone())
        for curves in self.query(Curves):
            shown = drawn[curves.id or ""]
            known = any(len(one.x) for one in shown.curves.values())
            curves.display = known
            if known:
                curves.show(shown.curves, ticks=ticks, limits=shown.limits)
        self.query_one("#now").border_subtitle = f"below: the last {history.span}"


def fetched(client: Client, span: HistorySpan | None) -> HardwareFetched:
    """The machine now, and its curves if a span is given."""
    return HardwareFetched(client.hardware(), client.hardware_history(span) if span else None)
