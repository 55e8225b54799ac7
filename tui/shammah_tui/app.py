"""The monitor's application: keys on one side, the daemon's news on the other, pages between.

Knows neither how the daemon is reached (`link`) nor what a page shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.screen import Screen

from shammah.client import Client
from shammah.protocol import JobView, Status
from shammah.records import JobState, LessonMode, Mode
from shammah.wording import one_line
from shammah_tui import keys, preferences, wording
from shammah_tui.adapters import Adapters
from shammah_tui.dialogs import Confirm, Help
from shammah_tui.examples import Examples
from shammah_tui.hardware import HardwarePage
from shammah_tui.job import JobPage
from shammah_tui.link import Link
from shammah_tui.logs import Logs
from shammah_tui.messages import (
    ChangeMade,
    DaemonLost,
    DaemonSeen,
    JobMoved,
    LinkBroke,
    RequestRefused,
    Snapshot,
)
from shammah_tui.overview import Overview
from shammah_tui.page import TITLES, Page
from shammah_tui.review import Review
from shammah_tui.settings import Settings
from shammah_tui.themes import DARK, LIGHT
from shammah_tui.train import Train
from shammah_tui.versions import Versions, promoted

#: In the order of their keys.
PAGES: tuple[type[Page], ...] = (
    Overview, JobPage, Examples, Versions, HardwarePage, Logs, Settings, Adapters,
    Train,
)  # fmt: skip

#: Actions that change something: a monitor that only watches does not offer them.
CHANGING = frozenset({"train", "pause", "cancel_job", "roll_back", "start_daemon"})


class Monitor(App[None]):
    """Watches the daemon that `connect` reaches; outlives it."""

    TITLE = "Shammah"
    CSS_PATH = [  # noqa: RUF012  # declared so by Textual
        "page.tcss", "dialogs.tcss", "report.tcss", "overview.tcss", "job.tcss",
        "examples.tcss", "versions.tcss", "hardware.tcss", "settings.tcss",
        "adapters.tcss", "train.tcss",
    ]  # fmt: skip
    BINDINGS = [  # noqa: RUF012  # declared so by Textual
        *(
            Binding(str(number), f"open('{page}')", title, show=False, tooltip=f"Open {title}")
            for number, (page, title) in enumerate(TITLES.items(), start=1)
        ),
        Binding("f1,question_mark", "help", "Help", key_display="F1", tooltip="These keys"),
        Binding("f2", "turn_light", "Dark, light", show=False, tooltip="Dark or light; it is kept"),
        Binding("r", "look", "Refresh", show=False, tooltip="Look now, not at the next second"),
        Binding(
            "S",
            "start_daemon",
            "Start the daemon",
            show=False,
            tooltip="Start the daemon where none answers",
        ),
        Binding("q", "quit", "Quit", tooltip="Leave; the daemon and its job go on"),
    ]

    def __init__(
        self, connect: Callable[[], Client], *, read_only: bool = False, taste: Path | None = None
    ) -> None:
        """
        Args:
            read_only: offer nothing that changes anything.
            taste: the folder in which the theme is kept.
        """
        super().__init__()
        self._link = Link(connect, self.post_message, self.call_later, read_only=read_only)
        self._taste = taste
        self._snapshot: Snapshot | None = None  # the newest; None while no daemon answers
        self._absence: DaemonLost | None = None
        for page in PAGES:
            self.add_mode(page.NAME, partial(page, self._link))

    async def on_mount(self) -> None:
        self.register_theme(LIGHT)
        if self._taste and (theme := preferences.theme(self._taste)) in self.available_themes:
            self.theme = theme
        self.theme_changed_signal.subscribe(self, lambda theme: self._keep(theme.name))
        await self.switch_mode(Overview.NAME)
        self._link.open()

    def on_unmount(self) -> None:
        self._link.close()

    # keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hides what a monitor that only watches may not do, greys out what has no object now."""
        if self._link.read_only and action in CHANGING:
            return False
        match action:
            case "cancel_job" | "pause" if self._job is None:
                return None
            case "roll_back" if self._status is None or not self._status.active_version:
                return None
            case "open":
                return parameters[0] in self._modes and len(self.screen_stack) == 1
        return True

    async def action_open(self, page: str) -> None:
        await self.switch_mode(page)
        self._show()

    def action_look(self) -> None:
        self._link.refresh()
        if isinstance(self.screen, Page | Review):
            self.screen.reload()

    def action_turn_light(self) -> None:
        self.theme = LIGHT.name if self.current_theme.dark else DARK

    def action_train(self, mode: LessonMode = Mode.CONSOLIDATE) -> None:
        def train(client: Client) -> ChangeMade:
            job = client.train(Mode(mode))  # type: ignore[arg-type]
            return ChangeMade(f"job {job.id} is {job.state}")

        self._link.change(train)

    def action_pause(self) -> None:
        if (job := self._job) is None:
            return

        def pause(client: Client) -> ChangeMade:
            if job.state is JobState.PAUSED:
                return ChangeMade(f"job {client.resume_job(job.id).id} goes on")
            return ChangeMade(f"job {client.pause_job(job.id).id} is paused: p lets it go on")

        self._link.change(pause)

    def action_cancel_job(self) -> None:
        if (job := self._job) is None:
            return

        def cancel(client: Client) -> ChangeMade:
            return ChangeMade(f"job {client.cancel_job(job.id).id} is cancelled")

        self._confirm(
            Confirm(
                f"Cancel job {job.id}?",
                "What it has learned so far is lost. The active version keeps answering.",
                yes="Cancel the job",
                no="Keep it",
            ),
            cancel,
        )

    def action_roll_back(self) -> None:
        self._confirm(
            Confirm(
                "Roll back to the version that answered before?",
                "No version is lost: any of them can be promoted again on the page Versions.",
                yes="Roll back",
                no="Stay",
            ),
            promoted,
        )

    def action_start_daemon(self) -> None:
        if self._snapshot is None:
            self._tell("starting the daemon")
            self._link.command_daemon("start")

    def action_help(self) -> None:
        if not isinstance(shown := self.screen, Page | Review):
            return
        title = shown.title or ""
        tables = [(f"On {title}", keys.keys_of(type(shown).BINDINGS))]
        if isinstance(shown, Page):
            tables.append(("Everywhere", keys.keys_of(self.BINDINGS)))
        self.push_screen(Help(title, shown.ABOUT, tables))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The command palette: the pages, what the keys of this one do, and Textual's own."""
        for page in PAGES:
            yield SystemCommand(
                f"Open {TITLES[page.NAME]}",
                page.ABOUT,
                lambda page=page: self.call_later(self.action_open, page.NAME),
            )
        for active in screen.active_bindings.values():
            binding = active.binding
            if active.enabled and binding.tooltip and not binding.action.startswith("open("):
                yield SystemCommand(
                    binding.description,
                    binding.tooltip,
                    lambda action=binding.action, node=active.node: self.call_later(
                        self.run_action, action, node
                    ),
                )
        yield from super().get_system_commands(screen)

    # news

    def on_daemon_seen(self, message: DaemonSeen) -> None:
        before, self._snapshot = self._snapshot, message.snapshot
        if self._absence is not None:
            self._tell("the daemon answers again")
            self._absence = None
        ended = newly_ended(before.status if before else None, message.snapshot.status)
        if ended is not None and ended.state != "cancelled":  # by a key here, or by one who knows
            self._tell_end(ended)
        self._show()
        self._refresh_keys(before)

    def on_daemon_lost(self, message: DaemonLost) -> None:
        before, self._snapshot, self._absence = self._snapshot, None, message
        self._show()
        self._refresh_keys(before)

    def on_job_moved(self, message: JobMoved) -> None:
        event = message.event
        if event.kind == "state":
            self._link.refresh()
        elif self._page is not None:
            self._page.show_progress(event)

    def on_change_made(self, message: ChangeMade) -> None:
        self._tell(one_line(message.text))
        if self._page is not None:
            self._page.reload()

    def on_request_refused(self, message: RequestRefused) -> None:
        self.notify(
            one_line(message.hint),
            title=one_line(message.message),
            severity="error",
            markup=False,
        )

    def on_link_broke(self, message: LinkBroke) -> None:
        raise message.error

    @property
    def _page(self) -> Page | None:
        """The page that is open, also below a dialog; none while the app ends, which takes it
        apart from within."""
        bottom = next(iter(self.screen_stack), None) if self.is_running else None
        return bottom if isinstance(bottom, Page) and bottom.is_mounted else None

    @property
    def _status(self) -> Status | None:
        return self._snapshot.status if self._snapshot else None

    @property
    def _job(self) -> JobView | None:
        return self._status.job if self._status else None

    def _show(self) -> None:
        if (page := self._page) is None:
            return
        if self._snapshot is not None:
            page.take(self._snapshot, datetime.now().astimezone())
        elif self._absence is not None:
            page.show_absence(self._absence.message, self._absence.hint)

    def _refresh_keys(self, before: Snapshot | None) -> None:
        """The keys at the foot, where another of them has an object now."""
        if objects(before) != objects(self._snapshot):
            self.refresh_bindings()

    def _confirm(self, question: Confirm, request: Callable[[Client], ChangeMade]) -> None:
        def answer(wanted: bool | None) -> None:
            if wanted:
                self._link.change(request)

        self.push_screen(question, answer)

    def _keep(self, theme: str) -> None:
        if self._taste:
            preferences.keep_theme(self._taste, theme)

    def _tell_end(self, job: JobView) -> None:
        self.notify(
            wording.result(job),
            title=f"job {job.id} {job.state}",
            severity="information" if job.state is JobState.PROMOTED else "warning",
            markup=False,
        )

    def _tell(self, text: str) -> None:
        self.notify(text, markup=False)


def objects(snapshot: Snapshot | None) -> tuple[bool, bool]:
    """Whether there is a job to steer, and a version to roll back from."""
    if snapshot is None:
        return False, False
    return snapshot.status.job is not None, snapshot.status.active_version > 0


def newly_ended(before: Status | None, now: Status) -> JobView | None:
    """The job that has ended between two looks at the daemon."""
    if before is None or now.last_job is None:
        return None
    known = before.last_job is not None and before.last_job.id == now.last_job.id
    return None if known else now.last_job
