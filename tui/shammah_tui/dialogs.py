"""What stands above a page: questions before something is changed, texts to edit, and the help."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static, TextArea

from shammah.client import Client
from shammah.protocol import ExampleView, SettingView
from shammah.wording import one_line, printable
from shammah_tui.difference import in_colour
from shammah_tui.keys import Key
from shammah_tui.link import Link, Request
from shammah_tui.messages import ChangeMade, RequestRefused

#: Lets the daemon change something to a text.
Save = Callable[[Client, str], Message]


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


class Edit(ModalScreen[None]):
    """Stays until the daemon has taken what was typed, and says here what it refuses."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link
        self._is_saving = self._is_saved = False

    def save(self, request: Request) -> None:
        if not self._is_saving:
            self._is_saving = True
            self.carry_out(request)

    def carry_out(self, request: Request) -> None:
        self._link.change(request, self._reply)

    def say(self, problem: str) -> None:
        self.query_one("#problem", Label).update(problem)

    def on_change_made(self, _message: ChangeMade) -> None:
        self.leave_saved()

    def leave_saved(self) -> None:
        self._is_saved = True
        self._leave_if_saved()

    def on_request_refused(self, message: RequestRefused) -> None:
        message.stop()
        self._is_saving = False
        self.say("\n".join(one_line(part) for part in (message.message, message.hint) if part))

    def on_screen_resume(self, _event: events.ScreenResume) -> None:
        self._leave_if_saved()

    def _leave_if_saved(self) -> None:
        if self._is_saved and self.is_active:  # else what stands above would be left
            self.dismiss()

    def _reply(self, message: Message) -> None:
        if not self.post_message(message):  # left before the daemon answered
            self.app.post_message(message)


class EditTarget(Edit):
    """The right answer of an example, to be written or mended; shows what changes meanwhile."""

    BINDINGS = [  # noqa: RUF012  # declared so by Textual
        Binding("ctrl+s,ctrl+enter", "save", "Save", priority=True),
        Binding("escape", "leave", "Leave it as it is"),
    ]
    AUTO_FOCUS = "#text"

    def __init__(self, link: Link, example: ExampleView, proposal: str = "") -> None:
        """`proposal`: what is mended where there is no right answer yet."""
        super().__init__(link)
        self._example = example
        self._offered = example.target or proposal
        self._is_warned = False

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog large") as dialog:
            dialog.border_title = "The right answer"
            dialog.border_subtitle = "Ctrl+S saves, Esc leaves it as it is"
            yield Label(printable(self._example.question), classes="question", markup=False)
            yield TextArea(self._offered, id="text", soft_wrap=True, tab_behavior="focus")
            yield Label("", id="problem", markup=False)
            yield Label("Changed from the answer given:", classes="caption")
            with VerticalScroll(id="changes"):
                yield Static(id="difference", markup=False)

    def on_mount(self) -> None:
        text = self.query_one(TextArea)
        text.move_cursor(text.document.end)
        self._show_difference()

    def on_text_area_changed(self, _event: TextArea.Changed) -> None:
        self._is_warned = False
        self.say("")
        self._show_difference()

    def action_save(self) -> None:
        text = self.query_one(TextArea).text.strip()
        if not text:
            self.say("an empty answer teaches nothing")
        elif text == self._example.target:
            self.dismiss()
        else:
            self.save(lambda client: ChangeMade(client.fix(text, self._example.id).message))

    def action_leave(self) -> None:
        if self._is_warned or self.query_one(TextArea).text == self._offered:
            self.dismiss()
        else:
            self._is_warned = True
            self.say("this is not saved: Ctrl+S saves it, Esc drops it")

    def _show_difference(self) -> None:
        text = self.query_one(TextArea).text
        given = self._example.rejected or ""
        self.query_one("#difference", Static).update(in_colour(given, text))


class EditSetting(Edit):
    """One setting's value."""

    BINDINGS = [Binding("escape", "dismiss", "Leave it as it is")]  # noqa: RUF012
    AUTO_FOCUS = "#value"

    def __init__(self, link: Link, setting: SettingView, save: Save) -> None:
        super().__init__(link)
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
        text = event.value
        self.save(lambda client: self._save(client, text))


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
