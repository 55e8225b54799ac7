"""What stands above the screen: the question before a job is cancelled, and the help."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Label, Markdown

HELP = """\
| key | does |
|---|---|
| t | train now: queue a lesson on every ready example |
| c | cancel the running job, after a question |
| r | look at the daemon now instead of at the next second |
| Tab, arrows | move between and within the tables |
| Ctrl+P | commands; the theme is among them |
| q | quit: the daemon and its job go on |

A lesson starts by itself when enough new examples are ready. It promotes a new version only if
the gate proves it better; until then the active version keeps answering.
"""


class ConfirmCancel(ModalScreen[bool]):
    """Asks whether job `job_id` is to be cancelled."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS = [  # noqa: RUF012  # declared so by Textual
        Binding("y", "dismiss(True)", "Cancel the job"),
        Binding("n,escape", "dismiss(False)", "Keep it"),
    ]
    AUTO_FOCUS = "#keep"

    def __init__(self, job_id: int) -> None:
        super().__init__()
        self._job_id = job_id

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(f"Cancel job {self._job_id}?", classes="question")
            yield Label("What it has learned so far is lost. The active version keeps answering.")
            with Horizontal(classes="answers"):
                yield Button("Keep it (n)", id="keep", variant="primary")
                yield Button("Cancel the job (y)", id="cancel", variant="error")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "cancel")


class Help(ModalScreen[None]):
    CSS_PATH = "dialogs.tcss"
    BINDINGS = [  # noqa: RUF012  # declared so by Textual
        Binding("escape,f1,question_mark,q", "dismiss", "Close")
    ]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "Help"
            dialog.border_subtitle = "Esc closes"
            yield Markdown(HELP)
