"""What every screen of the monitor has: where one is, whether the daemon is there, and the keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widgets import Footer, Static

from shammah.protocol import JobEvent
from shammah_tui.dialogs import Confirm
from shammah_tui.link import Link, Request
from shammah_tui.messages import Snapshot
from shammah_tui.panels import AbsencePanel, Line

#: The pages in their order: the name of each mode, and its title.
TITLES = {
    "overview": "Overview",
    "job": "Job",
    "examples": "Examples",
    "versions": "Versions",
    "hardware": "Hardware",
    "logs": "Logs",
    "settings": "Settings",
    "adapters": "Adapters",
    "train": "Train",
}

#: Keys that stand on more than one page.
TRAIN = Binding("t", "app.train", "Train", tooltip="Queue a lesson on every ready example")
PAUSE = Binding("p", "app.pause", "Pause", tooltip="Pause the running job, or let it go on")
CANCEL = Binding(
    "c", "app.cancel_job", "Cancel", tooltip="Cancel the running job, after a question"
)
ROLL_BACK = Binding(
    "b", "app.roll_back", "Roll back", tooltip="Serve the version before, after a question"
)


#: From so many columns on, every page's name stands in the bar.
WIDE_COLUMNS = 110


class Tab(Static):
    """The key of a page, and its name where there is room; a click opens it."""

    def __init__(self, name: str, key: str) -> None:
        super().__init__(id=f"tab-{name}", markup=False)
        self._page, self._key = name, key
        self.tooltip = f"{TITLES[name]} (key {key})"

    def label(self, *, wide: bool) -> str:
        named = wide or self.has_class("-current")
        return f"{self._key} {TITLES[self._page]}" if named else self._key

    async def on_click(self) -> None:
        await self.app.run_action(f"app.open('{self._page}')")


class NavigationBar(Horizontal):
    """The pages in one line, and at its end what holds on all of them.

    Where the line is short, only the page that is open has its name in it.
    """

    def __init__(self, current: str) -> None:
        super().__init__(id="navigation")
        self._current = current

    def compose(self) -> ComposeResult:
        for number, name in enumerate(TITLES, start=1):
            tab = Tab(name, str(number))
            tab.set_class(name == self._current, "-current")
            yield tab
        yield Line("situation")

    def on_resize(self, _event: events.Resize) -> None:
        for tab in self.query(Tab):
            tab.update(tab.label(wide=self._is_wide))

    def show_situation(self, parts: Sequence[str]) -> None:
        taken = sum(len(tab.label(wide=self._is_wide)) + 1 for tab in self.query(Tab))
        room = self.app.size.width - taken
        self.query_one("#situation", Line).show(fitting(parts, room))

    @property
    def _is_wide(self) -> bool:
        return self.app.size.width >= WIDE_COLUMNS


def fitting(parts: Sequence[str], columns: int) -> str:
    """The last parts that fit, and the very last one in any case."""
    shown = list(parts)
    while len(shown) > 1 and len(" · ".join(shown)) > columns:
        del shown[0]
    return " · ".join(shown)


class Page(Screen[None]):
    """A screen of its own mode. Shows what it is handed; what else it wants, it asks of the link.

    Without a daemon the last figures stay, dimmed.
    """

    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall")]  # noqa: RUF012  # declared so by Textual
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE_COLUMNS, "-wide")]  # noqa: RUF012
    NAME: ClassVar[str]
    #: What the page is for, in the help.
    ABOUT: ClassVar[str]
    #: Actions that change something: a monitor that only watches does not offer them.
    CHANGING: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, link: Link) -> None:
        super().__init__(id=f"page-{self.NAME}")
        self.title = TITLES[self.NAME]
        self.link = link
        self._stamp: object = None  # of the snapshot that the page's own figures belong to
        self._known = False

    def compose(self) -> ComposeResult:
        yield NavigationBar(self.NAME)
        yield AbsencePanel(id="absence")
        with Vertical(id="figures"):
            yield from self.content()
        yield Footer()

    def content(self) -> ComposeResult:
        """What stands between the pages' names and the keys."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return not (self.link.read_only and action in self.CHANGING)

    def take(self, snapshot: Snapshot, now: datetime) -> None:
        """Show a snapshot, and fetch what belongs to it."""
        self._known = True
        self.add_class("-known")
        self.remove_class("-absent")
        self._show_situation(situation(snapshot, read_only=self.link.read_only))
        self.show(snapshot, now)
        if (stamp := self.stamp(snapshot)) != self._stamp:
            self._stamp = stamp
            self.reload()

    def show(self, snapshot: Snapshot, now: datetime) -> None:
        """What the snapshot itself tells."""

    def stamp(self, snapshot: Snapshot) -> object:
        """What changes when that which the page has fetched is not true any more."""
        return snapshot.status.pid

    def reload(self) -> None:
        """Fetch what no snapshot has."""

    def show_progress(self, event: JobEvent) -> None:
        """The running job has moved."""

    def show_absence(self, message: str, hint: str) -> None:
        self.add_class("-absent")
        self._show_situation(["no daemon"])
        self._stamp = None
        self.query_one(AbsencePanel).show(message, hint, can_start=not self.link.read_only)

    def on_screen_resume(self, _event: events.ScreenResume) -> None:
        self.refresh_bindings()
        if self._known:
            self.reload()

    def _show_situation(self, parts: list[str]) -> None:
        self.query_one(NavigationBar).show_situation(parts)

    def confirm(self, question: Confirm, request: Request) -> None:
        """Let the daemon change something if the user says yes."""

        def answer(wanted: bool | None) -> None:
            if wanted:
                self.link.change(request)

        self.app.push_screen(question, answer)


def situation(snapshot: Snapshot, *, read_only: bool) -> list[str]:
    """`version 3`, `job 4 training`, `read-only`: what matters most comes last."""
    status = snapshot.status
    parts = [f"version {status.active_version}"]
    if status.job is not None:
        parts.append(f"job {status.job.id} {status.job.state}")
    if status.engine.state != "ready":
        parts.append(f"engine {status.engine.state}")
    if read_only:
        parts.append("read-only")
    return parts
