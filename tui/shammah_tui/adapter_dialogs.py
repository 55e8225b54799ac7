"""What is asked before an adapter is loaded or taken in."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Input, Label

from shammah.client import Client
from shammah.errors import UsageError
from shammah.protocol import AdapterView
from shammah_tui.completing import PathSuggester, expanded
from shammah_tui.dialogs import Edit
from shammah_tui.link import Link
from shammah_tui.messages import ChangeMade


class LoadAdapter(Edit):
    """The scale with which an adapter is added."""

    BINDINGS = [Binding("escape", "dismiss", "Leave it as it is")]  # noqa: RUF012
    AUTO_FOCUS = "#scale"

    def __init__(self, link: Link, adapter: AdapterView) -> None:
        super().__init__(link)
        self._adapter = adapter

    def compose(self) -> ComposeResult:
        scale = 1.0 if self._adapter.scale is None else self._adapter.scale
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = f"Load {self._adapter.name}"
            dialog.border_subtitle = "Enter loads, Esc leaves it as it is"
            yield Label("It is added to every answer from the next one on.", markup=False)
            yield Label("Scale, times its effect: above 0, at most 100.", markup=False)
            yield Input(f"{scale:g}", id="scale", placeholder="1")
            yield Label("", id="problem", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        text = event.value
        self.save(lambda client: loaded(client, self._adapter.name, text))


class ImportAdapter(Edit):
    """A PEFT folder, and what the adapter is to be called."""

    BINDINGS = [Binding("escape", "dismiss", "Take nothing in")]  # noqa: RUF012
    AUTO_FOCUS = "#path"

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "Import an adapter"
            dialog.border_subtitle = "Enter takes it in, Esc leaves"
            yield Label("Folder that PEFT or TRL has saved; → completes the path.", markup=False)
            yield Input(id="path", placeholder="~/adapter", suggester=PathSuggester())
            yield Label("Name", markup=False)
            yield Input(id="name", placeholder="as the folder")
            yield Label("Base that it is for", markup=False)
            yield Input(id="base", placeholder="the one in use")
            yield Label("", id="problem", markup=False)

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        path, name, base = (
            self.query_one(f"#{field}", Input).value.strip() for field in ("path", "name", "base")
        )
        if path:
            self.say("")
            self.save(lambda client: taken_in(client, path, name, base))
        else:
            self.say("name the folder")


def loaded(client: Client, name: str, scale: str) -> ChangeMade:
    """Raises UsageError where `scale` is no number that a scale can be."""
    client.load_adapter(name, number(scale))
    return ChangeMade(f"{name} is loaded at scale {number(scale):g}")


def taken_in(client: Client, path: str, name: str, base: str) -> ChangeMade:
    found = client.import_adapter(expanded(path), name or None, base or None)
    remark = f"; {found.remark}" if found.remark else ""
    return ChangeMade(f"{found.name} is imported: l loads it{remark}")


def number(scale: str) -> float:
    """Raises UsageError: it is no scale."""
    try:
        found = float(scale)
    except ValueError:
        found = 0.0
    if not 0 < found <= 100:
        raise UsageError(
            f"{scale.strip() or 'nothing'} is no scale",
            hint="a scale is a number above 0, at most 100",
        )
    return found
