"""Pages whose list a typed line filters, and that line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from textual import events
from textual.binding import Binding
from textual.message import Message
from textual.suggester import Suggester
from textual.timer import Timer
from textual.widgets import Input

from shammah_tui.filters import Filter, cycled
from shammah_tui.page import Page

Thing = TypeVar("Thing")

#: Thousands of rows are not listed anew for every letter.
SETTLE_SECONDS = 0.15

#: The key of every such page.
FILTER = Binding("slash", "filter", "Filter", key_display="/", tooltip="Type a filter")


class FilterLine(Input):
    """Esc, Enter and Down go back to what is filtered."""

    class Settled(Message):
        """The filter is another one, and no key has followed."""

    BINDINGS = [  # noqa: RUF012  # declared so by Textual
        Binding("escape,enter,down", "leave", "Back to the list", show=False),
    ]

    def __init__(self, placeholder: str, fields: Sequence[str]) -> None:
        super().__init__(
            id="filter",
            placeholder=placeholder,
            compact=True,
            suggester=_LastWord([f"{field}:" for field in fields]),
            select_on_focus=False,
        )
        self._settling: Timer | None = None
        self.tooltip = "Words and field:value pairs; / goes here"

    def cycle(self, field: str, values: list[str]) -> None:
        """Select the next value of a field, after the last one all."""
        self.value = cycled(self.value, field, values)

    def action_leave(self) -> None:
        self.screen.focus_next()

    def on_input_changed(self, _event: Input.Changed) -> None:
        if self._settling is not None:
            self._settling.stop()
        self._settling = self.set_timer(SETTLE_SECONDS, self._settle)

    def _settle(self) -> None:
        self.post_message(self.Settled())

    def on_focus(self, _event: events.Focus) -> None:
        self.cursor_position = len(self.value)


class FilteredPage(Page):
    """A page with a filter line; `show_selected` lists what it selects."""

    def show_selected(self) -> None:
        raise NotImplementedError

    def selected(self, reader: Filter[Thing], things: Iterable[Thing]) -> list[Thing]:
        """Those that the line selects, as `reader` reads it."""
        matches = reader.matching(self.query_one(FilterLine).value)
        return [one for one in things if matches(one)]

    def on_filter_line_settled(self, _event: FilterLine.Settled) -> None:
        self.show_selected()

    def action_filter(self) -> None:
        self.query_one(FilterLine).focus()


class _LastWord(Suggester):
    """Completes the field that is being typed."""

    def __init__(self, fields: Sequence[str]) -> None:
        super().__init__(case_sensitive=False)
        self._fields = fields

    async def get_suggestion(self, value: str) -> str | None:
        begun, _, last = value.rpartition(" ")
        found = next((field for field in self._fields if last and field.startswith(last)), None)
        return None if found is None else f"{begun} {found}".lstrip()
