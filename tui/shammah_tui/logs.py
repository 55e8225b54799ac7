"""The page *Logs*: what the daemon, the stages and the engine write, followed."""

from __future__ import annotations

from collections import deque
from datetime import datetime

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import RichLog

from shammah.protocol import LogLine
from shammah.wording import count, one_line, printable
from shammah_tui import wording
from shammah_tui.filters import Filter
from shammah_tui.link import Link
from shammah_tui.messages import FetchFailed, LogsFetched
from shammah_tui.searching import FILTER, FilteredPage, FilterLine

#: How often the page looks while it is open, and how many lines it keeps.
LOOK_SECONDS = 1.0
KEPT_LINES = 5000

SOURCES = ["daemon", "stages", "engine"]
LEVELS = ["error", "warning", "info", "debug"]

#: These can be read in the dark and in the light; of a terminal's own, yellow cannot.
COLOURS = {"error": "#d9434f", "critical": "#d9434f", "warning": "#b07a00", "debug": "dim"}

LINES = Filter[LogLine](
    fields={"source": lambda one: one.source, "level": lambda one: one.level},
    text=lambda one: f"{one.text} {one.trace or ''}",
)


class Logs(FilteredPage):
    NAME = "logs"
    ABOUT = (
        "What the daemon, the stages of jobs and the engine write, merged and followed. Type after "
        "/ to filter: words, `source:stages`, `level:error`, `job=3`. Logs hold no question and no "
        "answer."
    )
    BINDINGS = [  # noqa: RUF012  # declared so by Textual
        FILTER,
        Binding("l", "level", "Level", tooltip="Show one level after the other"),
        Binding("o", "source", "Source", tooltip="Show one source after the other"),
        Binding("space", "hold", "Hold", tooltip="Hold the lines still, or follow again"),
    ]
    AUTO_FOCUS = "#lines"

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self._kept: deque[LogLine] = deque(maxlen=KEPT_LINES)
        self._next: str | None = None  # where the next look begins
        self._awaited = False
        self._held = False

    def content(self) -> ComposeResult:
        yield FilterLine(
            "/ filters: words, source:daemon source:stages source:engine level:error",
            tuple(LINES.fields),
        )
        log = RichLog(id="lines", max_lines=KEPT_LINES, wrap=True, min_width=20)
        log.border_title = "Logs"
        yield log

    def on_mount(self) -> None:
        self.set_interval(LOOK_SECONDS, self.reload)

    def reload(self) -> None:
        """Look on, but only while this page is what one sees."""
        if self._awaited or self._held or self.app.screen is not self:
            return
        self._awaited = True
        after = self._next
        self.link.fetch(lambda client: LogsFetched(client.logs(after)), self.post_message)

    def on_logs_fetched(self, message: LogsFetched) -> None:
        self._awaited = False
        self._next = message.tail.next
        self._kept.extend(message.tail.data)
        self._write(self.selected(LINES, message.tail.data))

    def on_fetch_failed(self, _message: FetchFailed) -> None:
        self._awaited = False

    def show_selected(self) -> None:
        self.query_one(RichLog).clear()
        self._write(self.selected(LINES, self._kept))

    def action_level(self) -> None:
        self.query_one(FilterLine).cycle("level", LEVELS)

    def action_source(self) -> None:
        self.query_one(FilterLine).cycle("source", SOURCES)

    def action_hold(self) -> None:
        self._held = not self._held
        log = self.query_one(RichLog)
        log.auto_scroll = not self._held
        log.border_title = "Logs, held still: Space follows again" if self._held else "Logs"
        self.reload()

    def _write(self, lines: list[LogLine]) -> None:
        log, now = self.query_one(RichLog), datetime.now().astimezone()
        for line in lines:
            log.write(said(line, now), expand=True)
        log.border_subtitle = count(len(self._kept), "line")


def said(line: LogLine, now: datetime) -> Text:
    """`14:02:33 daemon  stage ended stage=... code=0`, and a traceback under it."""
    text = Text.assemble(
        (f"{wording.clock(line.at, now)} ", "dim"),
        (f"{line.source:<7}", "cyan"),
        (f"{line.level:<8}", COLOURS.get(line.level, "dim")),
        one_line(line.text),
    )
    if line.trace:
        text.append("\n" + printable(line.trace).rstrip(), "red")
    return text
