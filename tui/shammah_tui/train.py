"""The page *Train*: a lesson of one's own, with what fits this machine and what it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import get_args

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import DataTable, Select

from shammah.client import Client
from shammah.protocol import ExampleView, SettingView, Status
from shammah.records import Preset
from shammah.wording import count, one_line
from shammah_tui import plans
from shammah_tui.dialogs import EditSetting, may_be
from shammah_tui.link import Link, Request
from shammah_tui.messages import (
    ChangeMade,
    MaterialFetched,
    OptionTaken,
    PlanFetched,
    RequestRefused,
    Snapshot,
)
from shammah_tui.page import Page
from shammah_tui.panels import Line
from shammah_tui.tables import RecordTable
from shammah_tui.wish import MODES, SECTION, Option, Wish, options, own, parsed

PRESETS: tuple[Preset, ...] = get_args(Preset)


class OptionTable(RecordTable):
    BORDER_TITLE = "Settings of this lesson"
    HEADINGS = ("", "name", "value", "usual")

    def show(self, found: Sequence[Option]) -> None:
        self.show_rows(
            (number, ("•" if one.is_own else "", one.name, one.value, one.usual))
            for number, one in enumerate(found)
        )


class EditOption(EditSetting):
    """A value for one lesson: the daemon is asked whether it may be, and changes nothing."""

    def __init__(
        self,
        link: Link,
        option: Option,
        check: Callable[[Client, str], object],
        take: Callable[[str], None],
    ) -> None:
        """
        Args:
            check: raises where the value that is typed cannot be.
            take: gets it where it can.
        """

        def checked(client: Client, text: str) -> Message:
            check(client, text)
            return OptionTaken(text)

        shown = option.setting.model_copy(update={"value": option.value, "default": option.usual})
        super().__init__(link, shown, checked)
        self._take = take

    def carry_out(self, request: Request) -> None:
        self._link.ask(request, self._reply)

    def on_option_taken(self, message: OptionTaken) -> None:
        self._take(message.text)
        self.leave_saved()


class Train(Page):
    NAME = "train"
    ABOUT = (
        "A lesson of your own, before it begins: what it teaches, how thoroughly, how this machine "
        "would compute it and why, and what it takes. • marks a setting that is another one for "
        "this lesson alone; the page Settings changes them for all. Nothing begins before t."
    )
    CHANGING = frozenset({"start"})
    BINDINGS = [  # noqa: RUF012  # declared so by Textual
        Binding("t", "start", "Train", tooltip="Queue this lesson, and open the page Job"),
        Binding("m", "mode", "Mode", tooltip="All anew, or a quick lesson on what is new"),
        Binding("p", "preset", "Preset", tooltip="How thoroughly: one preset after the other"),
        Binding(
            "e,enter", "edit", "Change", key_display="e", tooltip="Change it for this lesson alone"
        ),
        Binding("d", "reset", "Usual", tooltip="Take the usual value again"),
    ]
    AUTO_FOCUS = "#table"

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self._wish = Wish()
        self._status: Status | None = None
        self._examples: list[ExampleView] = []
        self._settings: list[SettingView] = []
        self._is_asking = self._is_old = False  # a plan is asked for; it is of another lesson
        self._is_starting = False

    def content(self) -> ComposeResult:
        with Horizontal(id="lesson"):
            with Vertical(id="wanted"):
                with VerticalScroll(id="material") as material:
                    material.border_title = "What it teaches"
                    yield Line("data")
                with Horizontal(id="manner"):
                    yield _choice("mode", MODES, self._wish.mode)
                    yield _choice("preset", PRESETS, self._wish.preset)
                yield Line("course")
                yield OptionTable(id="table")
                with VerticalScroll(id="option"):
                    yield Line("meaning")
            with Vertical(id="foreseen"):
                with VerticalScroll(id="plan") as plan:
                    plan.border_title = "On this machine"
                    yield Line("choices")
                with VerticalScroll(id="estimate") as estimate:
                    estimate.border_title = "What it takes, about"
                    yield Line("takes")

    def show(self, snapshot: Snapshot, now: datetime) -> None:
        self._status = snapshot.status
        self._show_material()

    def stamp(self, snapshot: Snapshot) -> object:
        status = snapshot.status
        return (
            super().stamp(snapshot),
            status.base,
            status.active_version,
            status.waiting,
            tuple(status.examples.items()),
            status.job and status.job.id,
            status.preparation and status.preparation.prepared,
        )

    def reload(self) -> None:
        self.link.fetch(fetched, self.post_message)
        self._ask()

    def on_material_fetched(self, message: MaterialFetched) -> None:
        self._examples, self._settings = message.examples, message.settings
        self._show_material()
        self._show_options()

    def on_plan_fetched(self, message: PlanFetched) -> None:
        self.query_one("#choices", Line).show(plans.machine(message.plan))
        self.query_one("#takes", Line).show(plans.takes(message.plan))
        self._answered()

    def on_request_refused(self, message: RequestRefused) -> None:
        """There is no plan of such a lesson."""
        message.stop()
        self._show_problem(message.message, message.hint)
        self._answered()

    def on_select_changed(self, _event: Select.Changed) -> None:
        mode, preset = (self.query_one(f"#{name}", Select).value for name in ("mode", "preset"))
        self._choose(
            replace(
                self._wish,
                mode=next(one for one in MODES if one == mode),
                preset=next(one for one in PRESETS if one == preset),
            )
        )

    def on_data_table_row_highlighted(self, _event: DataTable.RowHighlighted) -> None:
        self._show_chosen()

    def on_data_table_row_selected(self, _event: DataTable.RowSelected) -> None:
        self.action_edit()

    def action_mode(self) -> None:
        self.query_one("#mode", Select).value = _next(MODES, self._wish.mode)

    def action_preset(self) -> None:
        self.query_one("#preset", Select).value = _next(PRESETS, self._wish.preset)

    def action_edit(self) -> None:
        chosen = self._chosen
        if chosen is None:
            return
        wish, others = self._wish, own(self._options)

        def check(client: Client, text: str) -> object:
            value = parsed(chosen.name, text)
            return client.plan(wish.mode, wish.preset, {**others, chosen.name: value})

        def take(text: str) -> None:
            self._choose(replace(self._wish, typed={**self._wish.typed, chosen.name: text}))

        self.app.push_screen(EditOption(self.link, chosen, check, take))

    def action_reset(self) -> None:
        if (chosen := self._chosen) is not None:
            typed = {name: text for name, text in self._wish.typed.items() if name != chosen.name}
            self._choose(replace(self._wish, typed=typed))

    def action_start(self) -> None:
        wish, wanted = self._wish, own(self._options)
        if self._lacks_options:
            self.notify("a lesson of that preset needs a setting of its own: e changes one")
        elif not self._is_starting:
            self._is_starting = True

            def start(client: Client) -> ChangeMade:
                job = client.train(wish.mode, wish.preset, wanted)
                return ChangeMade(f"job {job.id} is {job.state}")

            self.link.change(start, self._started)

    @property
    def _options(self) -> list[Option]:
        return options(self._settings, self._wish)

    @property
    def _chosen(self) -> Option | None:
        row = self.query_one(OptionTable).chosen
        found = self._options
        return None if row is None or row >= len(found) else found[row]

    @property
    def _lacks_options(self) -> bool:
        return self._wish.preset == "custom" and not own(self._options)

    def _choose(self, wish: Wish) -> None:
        if wish != self._wish:
            self._wish = wish
            self._show_options()
            self._show_material()
            self._ask()

    def _ask(self) -> None:
        """Ask for the plan, one question at a time: the answer to the newest is what stays."""
        if self._is_asking:
            self._is_old = True
        elif self._lacks_options:
            self._show_problem("the preset custom needs a setting of its own", "e changes one")
        else:
            self._is_asking = True
            self.query_one("#plan").border_subtitle = "asking …"
            wish, wanted = self._wish, own(self._options)
            self.link.ask(
                lambda client: PlanFetched(client.plan(wish.mode, wish.preset, wanted)),
                self.post_message,
            )

    def _answered(self) -> None:
        self._is_asking = False
        self.query_one("#plan").border_subtitle = ""
        if self._is_old:
            self._is_old = False
            self._ask()

    def _started(self, message: Message) -> None:
        self._is_starting = False
        self.app.post_message(message)
        if isinstance(message, ChangeMade) and self.is_active:
            self.app.call_later(self.app.run_action, "app.open('job')")

    def _show_material(self) -> None:
        if self._status is None:
            return
        self.query_one("#data", Line).show(plans.material(self._status, self._examples))
        course = plans.course(self._wish.mode, self._status.active_version)
        self.query_one("#course", Line).show(course)

    def _show_options(self) -> None:
        found = self._options
        table = self.query_one(OptionTable)
        table.show(found)
        changed = len(own(found))
        table.border_subtitle = f"{count(changed, 'own value')}" if changed else "as usual"
        self._show_chosen()

    def _show_chosen(self) -> None:
        chosen = self._chosen
        self.query_one("#option").border_title = chosen.name if chosen else "Setting"
        self.query_one("#meaning", Line).show(described(chosen) if chosen else "")

    def _show_problem(self, message: str, hint: str) -> None:
        self.query_one("#choices", Line).show("")
        problem = Content.styled(one_line(message), "$text-error")
        self.query_one("#takes", Line).show(Content("\n").join([problem, Content(one_line(hint))]))


def described(option: Option) -> Content:
    """Its value, what that is, and what it may be."""
    usual = f", usually {option.usual}" if option.is_own else ", as usual"
    return Content.assemble(
        (option.value, "bold"),
        f"{usual}\n{option.setting.description} ({may_be(option.setting)})",
    )


def _choice(name: str, offered: Sequence[str], usual: str) -> Select[str]:
    return Select(
        [(one, one) for one in offered],
        value=usual,
        allow_blank=False,
        id=name,
        compact=True,
        tooltip=f"The {name} of the lesson (key {name[0]})",
    )


def _next(offered: Sequence[str], now: str) -> str:
    return offered[(offered.index(now) + 1) % len(offered)]


def fetched(client: Client) -> MaterialFetched:
    settings = [one for one in client.settings() if one.key.startswith(SECTION)]
    return MaterialFetched(client.examples(), settings)
