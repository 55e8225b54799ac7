"""Adapters written for other programs: what, how and where; and how far it is."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button, Input, Label, ProgressBar, Select

from shammah.client import Client
from shammah.errors import ShammahError, UsageError
from shammah.protocol import AdapterPart, AdapterView, ExportEvent, ExportKind, ExportRequest
from shammah.wording import size
from shammah_tui.adapter_dialogs import number
from shammah_tui.completing import PathSuggester, expanded
from shammah_tui.dialogs import Edit
from shammah_tui.link import Link
from shammah_tui.messages import ChangeMade, ExportMoved, RequestRefused

#: What each kind is for.
KINDS: dict[ExportKind, str] = {
    "peft": "an adapter: folder for PEFT",
    "gguf": "an adapter: GGUF file for llama.cpp",
    "merged-gguf": "a merged model: GGUF file",
    "merged-safetensors": "a merged model: safetensors folder",
    "ollama": "a merged model: folder for Ollama",
}

#: These are of one adapter, the others of one or several.
OF_ONE: frozenset[ExportKind] = frozenset({"peft", "gguf"})

#: These have a GGUF model inside.
QUANTIZED: frozenset[ExportKind] = frozenset({"merged-gguf", "ollama"})

QUANTIZATIONS = ("Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "F16")
USUAL_QUANTIZATION = "Q8_0"

_KEYS = "Enter writes it, Esc leaves"


class ExportAdapters(Edit):
    """Stays until it is written, but may be left: the work goes on, and its end is told."""

    BINDINGS = [  # noqa: RUF012  # declared so by Textual
        Binding("escape", "leave", "Leave; what is being written is written on"),
        Binding("f8", "stop", "Stop it; nothing is left of it"),
    ]
    AUTO_FOCUS = "#destination"

    def __init__(self, link: Link, adapters: Sequence[AdapterView], kind: ExportKind) -> None:
        """`kind`: what is offered first."""
        super().__init__(link)
        self._adapters, self._kind = adapters, kind
        self._stopped = threading.Event()

    def compose(self) -> ComposeResult:
        several = len(self._adapters) > 1
        kinds = [(said, kind) for kind, said in KINDS.items() if not (several and kind in OF_ONE)]
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = (
                f"Merge {len(self._adapters)} adapters" if several else self._adapters[0].name
            )
            dialog.border_subtitle = _KEYS
            for place, one in enumerate(self._adapters):
                with Horizontal(classes="field"):
                    yield Label(f"{one.name} at scale", markup=False)
                    yield Input(f"{one.scale or 1:g}", id=f"scale-{place}", compact=True)
            with Horizontal(classes="field"):
                yield Label("written as", markup=False)
                yield Select(kinds, value=self._kind, allow_blank=False, id="kind", compact=True)
            with Horizontal(classes="field"):
                yield Label("quantized to", markup=False)
                yield Select(
                    [(one, one) for one in QUANTIZATIONS],
                    value=USUAL_QUANTIZATION,
                    allow_blank=False,
                    id="quantization",
                    compact=True,
                )
            yield Label("To a place where nothing is yet; → completes the path.", markup=False)
            yield Input(id="destination", placeholder="~/out", suggester=PathSuggester())
            yield Label("", id="problem", markup=False)
            yield ProgressBar(total=1.0, show_eta=False, id="written")
            with Horizontal(classes="answers"):
                yield Button("Write it", id="write", variant="primary")
                yield Button("Stop (F8)", id="stop", variant="error")

    def on_mount(self) -> None:
        self._offer()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "stop" or self._is_saving

    def on_select_changed(self, _event: Select.Changed) -> None:
        self._offer()

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        self._write()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "write":
            self._write()
        else:
            self.action_stop()

    def on_export_moved(self, message: ExportMoved) -> None:
        self.query_one(ProgressBar).update(progress=message.event.fraction)
        self._tell(f"{message.event.stage} … Esc leaves it at work, F8 stops it")

    def on_request_refused(self, _message: RequestRefused) -> None:
        self._is_saving = False
        self._offer()
        self._tell(_KEYS)
        self.query_one("#destination").focus()

    def action_leave(self) -> None:
        if self._is_saving:
            self.app.notify("it is written on, and its end is told here", markup=False)
        self.dismiss()

    def action_stop(self) -> None:
        if self._is_saving:
            self._stopped.set()
            self._tell("stopping …")

    def _write(self) -> None:
        if self._is_saving:
            return
        try:
            request = self._request()
        except ShammahError as error:
            self.say(f"{error.message}\n{error.hint}")
            return
        self.say("")
        self._is_saving = True
        self._stopped.clear()
        self._offer()
        self._tell("beginning …")
        self._link.work(lambda client: exported(client, request, self._stopped), self._pass_on)

    def _request(self) -> ExportRequest:
        """Raises UsageError."""
        typed = self.query_one("#destination", Input).value.strip()
        if not typed:
            raise UsageError("name the place", hint="a file or a folder, as the kind is")
        parts = [
            AdapterPart(name=one.name, scale=number(self.query_one(f"#scale-{place}", Input).value))
            for place, one in enumerate(self._adapters)
        ]
        kind = self._chosen_kind
        quantization = self.query_one("#quantization", Select).value
        return ExportRequest(
            adapters=parts,
            kind=kind,
            destination=str(expanded(typed)),
            quantization=str(quantization) if kind in QUANTIZED else None,
        )

    @property
    def _chosen_kind(self) -> ExportKind:
        chosen = self.query_one("#kind", Select).value
        return next(kind for kind in KINDS if kind == chosen)

    def _offer(self) -> None:
        """What can be chosen and pressed now."""
        working = self._is_saving
        for field in self.query("Input, Select"):
            field.disabled = working
        self.query_one("#quantization").disabled = working or self._chosen_kind not in QUANTIZED
        self.query_one("#write").display = not working
        self.query_one("#stop").display = working
        self.query_one("#written").display = working
        self.refresh_bindings()

    def _tell(self, text: str) -> None:
        self.query_one(".dialog").border_subtitle = text

    def _pass_on(self, message: Message) -> None:
        if not self.post_message(message) and not isinstance(message, ExportMoved):
            self.app.post_message(message)  # the dialog was left


def exported(
    client: Client, request: ExportRequest, stopped: threading.Event
) -> Iterator[ExportMoved | ChangeMade]:
    """Progress, and what came of it; once it is stopped, at the next sign of progress."""
    with closing(client.export_adapters(request)) as events:
        for event in events:
            if event.kind == "done":
                yield ChangeMade(written(request, event))
                return
            if stopped.is_set():
                yield ChangeMade("the export is stopped, and nothing is left of it")
                return
            yield ExportMoved(event)
    raise ShammahError("the export ended without an end")


def written(request: ExportRequest, done: ExportEvent) -> str:
    """`/tmp/out.gguf is written, 120 MB`."""
    said = f"{done.path} is written"
    if done.size_bytes is not None:
        said += f", {size(done.size_bytes)}"
    if request.quantization and done.quantization != request.quantization:
        said += f", as {done.quantization}: rows of this base do not fit {request.quantization}"
    return said
