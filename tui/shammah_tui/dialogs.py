"""What stands above a page: questions before something is changed, texts to edit, and the help."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static, TextArea

from shammah.protocol import SettingView
from shammah.wording import printable
from shammah_tui.difference import in_colour
from shammah_tui.keys import Key


class Confirm(ModalScreen[bool]):
    """Asks before something is done that is not undone by a key. The focus is on the answer that
    does nothing."""

    BINDINGS = [  # noqa: RUF012  # declared so by Textual
        Binding("y", "dismiss(True)", "Do it"),
        Binding("n,escape", "dismiss(False)", "Leave it"),
    ]
    AUTO_FOCUS = "#no"

    def __init__(self, question: str, consequence: str, *, yes: str, no: str) -> None:
        super().__init__()
        self._question, self._consequence = question, consequence
        self._yes, self._no = yes, no

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(self._question, classes="question", markup=False)
            yield Label(self._consequence, markup=False)
            with Horizontal(classes="answers"):
                yield Button(f"{self._no} (n)", id="no", variant="primary")
                yield Button(f"{self._yes} (y)", id="yes", variant="error")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")


class EditTarget(ModalScreen[str | None]):
    """The answer to a question, to be written or mended; shows what changes as it is typed."""

    BINDINGS = [  # noqa: RUF012  # declared so by Textual
        Binding("ctrl+s,ctrl+enter", "save", "Save", priority=True),
        Binding("escape", "dismiss(None)", "Leave it as it is"),
    ]
    AUTO_FOCUS = "#text"

    def __init__(self, question: str, text: str, compared: str) -> None:
        """`compared`: what the text is held against: the answer that was marked."""
        super().__init__()
        self._question, self._text, self._compared = question, text, compared

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog large") as dialog:
            dialog.border_title = "The right answer"
            dialog.border_subtitle = "Ctrl+S saves, Esc leaves it as it is"
            yield Label(printable(self._question), classes="question", markup=False)
            yield TextArea(self._text, id="text", soft_wrap=True, tab_behavior="focus")
            yield Label("Changed from the answer given:", classes="caption")
            with VerticalScroll(id="changes"):
                yield Static(id="difference", markup=False)

    def on_mount(self) -> None:
        text = self.query_one(TextArea)
        text.move_cursor(text.document.end)
        self._show_difference()

    def on_text_area_changed(self, _event: TextArea.Changed) -> None:
        self._show_difference()

    def action_save(self) -> None:
        text = self.query_one(TextArea).text.strip()
        if text:
            self.dismiss(text)
        else:
            self.notify("an empty answer teaches nothing", severity="warning", markup=False)

    def _show_difference(self) -> None:
        text = self.query_one(TextArea).text
        self.query_one("#difference", Static).update(in_colour(self._compared, text))


class EditSetting(ModalScreen[None]):
    """One setting's value. What the daemon refuses is said here, beside what was typed."""

    BINDINGS = [Binding("escape", "dismiss", "Leave it as it is")]  # noqa: RUF012
    AUTO_FOCUS = "#value"

    def __init__(self, setting: SettingView, save: Callable[[str, EditSetting], None]) -> None:
        super().__init__()
        self._setting, self._save = setting, save

    def compose(self) -> ComposeResult:
        one = self._setting
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = one.key
            dialog.border_subtitle = "Enter saves, Esc leaves it as it is"
            yield Label(one.description, markup=False)
            yield Label(f"May be: {may_be(one)}. Default: {one.default or 'empty'}.", markup=False)
            yield Input(one.value, id="value", placeholder=one.default)
            yield Label("", id="problem", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._save(event.value, self)

    def refuse(self, message: str) -> None:
        self.query_one("#problem", Label).update(message)


def may_be(setting: SettingView) -> str:
    """`at least 1, at most 64`, or the choices."""
    return " or ".join(setting.choices) or setting.limits or "anything"


class Help(ModalScreen[None]):
    """The keys of the present page and of all pages, from the keys themselves."""

    BINDINGS = [  # noqa: RUF012  # declared so by Textual
        Binding("escape,f1,question_mark,q", "dismiss", "Close")
    ]

    def __init__(self, title: str, about: str, tables: Sequence[tuple[str, Sequence[Key]]]) -> None:
        """`tables`: headings, and the keys under each."""
        super().__init__()
        self._title, self._about, self._tables = title, about, tables

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog large") as dialog:
            dialog.border_title = f"Help: {self._title}"
            dialog.border_subtitle = "Esc closes"
            yield Static(self._about, markup=False)
            for heading, keys in self._tables:
                yield Static(heading, classes="question heading", markup=False)
                yield Static("\n".join(f"{one.shown:<10}{one.does}" for one in keys), markup=False)
