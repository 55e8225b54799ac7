"""Two versions answer one question side by side; the better answer gets a vote."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Select, Static

from shammah.client import Client
from shammah.protocol import ComparedAnswer, Comparison
from shammah.records import Preference
from shammah.wording import printable
from shammah_tui.link import Link
from shammah_tui.messages import AnswersCompared, ChangeMade, RequestRefused


class Compare(ModalScreen[None]):
    """Chooses two versions, asks a question, shows both answers and takes a vote."""

    BINDINGS = [  # noqa: RUF012  # declared so by Textual
        Binding("escape", "dismiss", "Close"),
        Binding("f5", "vote('first')", "Left is better"),
        Binding("f6", "vote('tie')", "As good"),
        Binding("f7", "vote('second')", "Right is better"),
    ]
    AUTO_FOCUS = "#question"

    def __init__(self, link: Link, chosen: int, versions: list[int]) -> None:
        """`versions`: all, newest first; `chosen` is compared with the newest other one."""
        super().__init__()
        self._link = link
        self._versions = versions
        other = next(number for number in versions if number != chosen)
        self._first, self._second = sorted((chosen, other))
        self._comparison: Comparison | None = None

    def compose(self) -> ComposeResult:
        offered = [(f"version {number}", number) for number in self._versions]
        with Vertical(classes="dialog large") as dialog:
            dialog.border_title = "Compare"
            dialog.border_subtitle = "Enter asks both, Esc closes"
            with Horizontal(id="pair"):
                yield Select(offered, value=self._first, allow_blank=False, id="first")
                yield Select(offered, value=self._second, allow_blank=False, id="second")
            yield Input(placeholder="A question for both", id="question")
            with Horizontal(id="answers-given"):
                for side in ("left", "right"):
                    with VerticalScroll(id=side, classes="answer-given"):
                        yield Static(id=f"{side}-text", markup=False)
            with Horizontal(id="votes"):
                yield Button("Left is better (F5)", id="vote-first", disabled=True)
                yield Button("As good (F6)", id="vote-tie", disabled=True)
                yield Button("Right is better (F7)", id="vote-second", disabled=True)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return None if action == "vote" and not self._can_vote else True

    def on_input_submitted(self, event: Input.Submitted) -> None:
        question = event.value.strip()
        first, second = (
            self.query_one("#first", Select).value,
            self.query_one("#second", Select).value,
        )
        if not question or not isinstance(first, int) or not isinstance(second, int):
            return
        self._show(None)
        self._link.ask(
            lambda client: AnswersCompared(client.compare(question, first, second)),
            self.post_message,
        )

    def on_answers_compared(self, message: AnswersCompared) -> None:
        self._show(message.comparison)

    def on_request_refused(self, _message: RequestRefused) -> None:
        for side in ("left", "right"):
            self.query_one(f"#{side}-text", Static).update("")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.action_vote((event.button.id or "").removeprefix("vote-"))

    def action_vote(self, better: str) -> None:
        found = self._comparison
        if found is None:
            return
        first, second = found.first, found.second

        def vote(client: Client) -> ChangeMade:
            client.vote(first.version, second.version, Preference(better))
            return ChangeMade("your vote is kept: the page Versions counts them")

        self._link.change(vote)
        self._comparison = None
        self._offer_votes()

    @property
    def _can_vote(self) -> bool:
        return self._comparison is not None and not self._link.read_only

    def _show(self, found: Comparison | None) -> None:
        """Both answers; None while they are awaited."""
        self._comparison = found
        for side, answer in (
            ("left", found.first if found else None),
            ("right", found.second if found else None),
        ):
            self.query_one(f"#{side}").border_title = _name(answer) if answer else ""
            text = printable(answer.text.strip()) if answer else "asking …"
            self.query_one(f"#{side}-text", Static).update(text)
        self._offer_votes()

    def _offer_votes(self) -> None:
        for button in self.query("#votes Button").results(Button):
            button.disabled = not self._can_vote
        self.refresh_bindings()


def _name(answer: ComparedAnswer) -> str:
    return f"version {answer.version} of {answer.base}"
