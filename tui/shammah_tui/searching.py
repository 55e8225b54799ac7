"""The line in which a page's filter is typed."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.binding import Binding
from textual.message import Message
from textual.suggester import Suggester
from textual.timer import Timer
from textual.widgets import Input

#: Thousands of rows are not listed anew for every letter.
SETTLE_SECONDS = 0.15


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


class _LastWord(Suggester):
    """Completes the field that is being typed."""

    def __init__(self, fields: Sequence[str]) -> None:
        super().__init__(case_sensitive=False)
        self._fields = fields

    async def get_suggestion(self, value: str) -> str | None:
        begun, _, last = value.rpartition(" ")
        found = next((field for field in self._fields if last and field.startswith(last)), None)
        return None if found is None else f"{begun} {found}".lstrip()
