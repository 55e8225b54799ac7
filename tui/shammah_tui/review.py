"""The inbox, item by item: drafts, likely secrets, and two answers to one question."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer, Static

from shammah.client import Client
from shammah.errors import ShammahError
from shammah.protocol import Draft, ExampleView, InboxItem
from shammah.wording import count, printable
from shammah_tui.dialogs import EditTarget
from shammah_tui.difference import in_colour
from shammah_tui.link import Link
from shammah_tui.messages import ChangeMade, DraftMade, FetchFailed, InboxFetched

KINDS = {
    "secret": "May hold a secret",
    "contradiction": "Two answers to one question",
    "duplicate": "The same twice",
    "draft": "No right answer yet",
}

Change = Callable[[Client], ChangeMade]


class Review(Screen[None]):
    """Shows one item of the inbox after another; ends when none is left."""

    TITLE = "Inbox"
    ABOUT = (
        "One item after another: a draft (accept the proposal, write the answer, or take your "
        "note), two answers to one question (say which holds), and what may hold a secret. Only "
        "what can be answered to an item is offered."
    )
    BINDINGS = [  # noqa: RUF012  # declared so by Textual
        Binding("a", "answer('a')", "Accept", tooltip="Accept the proposal"),
        Binding("e", "edit", "Edit", tooltip="Write the right answer"),
        Binding("u", "answer('u')", "Use note", tooltip="Your note is the right answer"),
        Binding("d", "answer('d')", "Discard", tooltip="Never complete the draft"),
        Binding("l", "answer('l')", "Learn", tooltip="Learn it although it may hold a secret"),
        Binding("f", "answer('f')", "Forget", tooltip="Forget it for ever"),
        Binding("n", "answer('n')", "Newer", tooltip="The newer answer holds"),
        Binding("o", "answer('o')", "Older", tooltip="The older answer holds"),
        Binding("b", "answer('b')", "Both", tooltip="Both answers stay"),
        Binding("s", "skip", "Skip", tooltip="Leave it for later"),
        Binding("escape,q", "dismiss", "Close", tooltip="Back to the examples"),
    ]

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link
        self._waiting: list[InboxItem] = []
        self._item: InboxItem | None = None  # what is shown
        self._awaited = False  # what a change made of the inbox, or a look at it
        self._skipped: set[tuple[object, ...]] = set()
        self._proposals: dict[int, Draft] = {}

    def compose(self) -> ComposeResult:
        with Vertical(id="inbox"), VerticalScroll(id="item"):
            yield Static(id="said", markup=False)
        yield Footer()

    def on_screen_resume(self, _event: events.ScreenResume) -> None:
        self.reload()

    def reload(self) -> None:
        if not self._awaited:
            self._fetch()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be answered to the present item."""
        match action:
            case "answer":
                return not self._link.read_only and parameters[0] in self._answers()
            case "edit":
                item = self._item
                editable = item is not None and item.kind in ("draft", "secret")
                return editable and not self._link.read_only
            case "skip":
                return self._item is not None
        return True

    def action_skip(self) -> None:
        if (item := self._item) is not None:
            self._skipped.add(_key(item))
            self._show()

    def action_answer(self, letter: str) -> None:
        answer = self._answers().get(letter)
        if answer is not None and not self._awaited:
            self._awaited = True
            self._link.change(answer, self._reply)

    def action_edit(self) -> None:
        if self._item is not None and not self._awaited:
            example = self._item.example
            proposal = self._proposals.get(example.id)
            self.app.push_screen(EditTarget(self._link, example, proposal.text if proposal else ""))

    def on_inbox_fetched(self, message: InboxFetched) -> None:
        self._awaited = False
        self._waiting = message.inbox
        self._show()

    def on_fetch_failed(self, _message: FetchFailed) -> None:
        self._awaited = False

    def on_draft_made(self, message: DraftMade) -> None:
        self._proposals[message.draft.example_id] = message.draft
        self._show()

    def _fetch(self) -> None:
        self._awaited = True
        self._link.fetch(lambda client: InboxFetched(client.inbox()), self.post_message)

    def _reply(self, message: Message) -> None:
        self.app.post_message(message)
        self._fetch()

    def _answers(self) -> Mapping[str, Change]:
        item = self._item
        if item is None:
            return {}
        if item.kind == "draft":
            return on_draft(item.example, self._proposals.get(item.example.id))
        return on_secret(item.example) if item.kind == "secret" else on_twins(item)

    def _show(self) -> None:
        if not self.is_active:  # it looks again when what stands above is left
            return
        item = next((one for one in self._waiting if _key(one) not in self._skipped), None)
        self._item = item
        if item is None:
            said = "nothing else waits" if self._skipped else "nothing waits for you"
            self.app.notify(said, markup=False)
            self.dismiss()
            return
        if item.kind == "draft" and item.example.id not in self._proposals:
            self._propose(item.example.id)
        box = self.query_one("#item")
        box.border_title = KINDS[item.kind]
        left = sum(_key(one) not in self._skipped for one in self._waiting)
        box.border_subtitle = f"{count(left, 'item')} left"
        self.query_one("#said", Static).update(
            described(item, self._proposals.get(item.example.id))
        )
        self.refresh_bindings()

    def _propose(self, example_id: int) -> None:
        """A small model's proposal takes its time: it comes when it comes."""

        def propose(client: Client) -> DraftMade:
            try:
                return DraftMade(client.draft(example_id))
            except ShammahError:
                return DraftMade(Draft(example_id=example_id, text="", source="none"))

        self._proposals[example_id] = Draft(example_id=example_id, text="", source="model")
        self._link.ask(propose, self.post_message)


def on_draft(example: ExampleView, proposal: Draft | None) -> Mapping[str, Change]:
    note = (example.note or "").strip()
    answers: dict[str, Change] = {"d": lambda client: _discarded(client, example.id)}
    if proposal and proposal.text:
        answers["a"] = lambda client: _taught(client, proposal.text, example.id)
    if note and (proposal is None or note != proposal.text):
        answers["u"] = lambda client: _taught(client, note, example.id)
    return answers


def on_secret(example: ExampleView) -> Mapping[str, Change]:
    return {
        "l": lambda client: ChangeMade(client.allow(example.id).message),
        "f": lambda client: ChangeMade(client.forget(example.id).message),
    }


def on_twins(item: InboxItem) -> Mapping[str, Change]:
    newer, older = item.example.id, item.older.id if item.older else 0

    def settled(holds: int | None) -> Change:
        def settle(client: Client) -> ChangeMade:
            client.settle(older, newer, holds)
            if holds is None:
                return ChangeMade(f"examples {older} and {newer} both stay")
            other = older if holds == newer else newer
            return ChangeMade(f"example {holds} holds; example {other} is kept as history only")

        return settle

    return {"n": settled(newer), "o": settled(older), "b": settled(None)}


def described(item: InboxItem, proposal: Draft | None) -> Content:
    """The item, with all that one needs to decide."""
    example = item.example
    lines = [_field(f"example {example.id}", example.question)]
    if item.kind == "draft":
        lines.append(_field("answered", example.rejected or ""))
        lines.append(_field("note", example.note or "none"))
        if proposal is None or (not proposal.text and proposal.source == "model"):
            lines.append(Content.styled("a proposal is being made …", "dim"))
        elif proposal.text:
            lines.append(
                Content.styled("proposal\n", "dim")
                + in_colour(example.rejected or "", proposal.text)
            )
        else:
            lines.append(Content.styled("no proposal: e writes the answer", "dim"))
    elif item.kind == "secret":
        lines.append(_field("answer", example.target or ""))
        lines.append(_field("looks like", ", ".join(item.secrets) or "a secret"))
    elif item.older is not None:
        if item.older.question != example.question:
            lines.append(_field(f"example {item.older.id}", item.older.question))
        lines.append(_field(f"older, example {item.older.id}", item.older.target or ""))
        lines.append(
            Content.styled(f"newer, example {example.id}\n", "dim")
            + in_colour(item.older.target or "", example.target or "")
        )
    return Content("\n\n").join(lines)


def _field(name: str, text: str) -> Content:
    return Content.assemble((f"{name}\n", "dim"), printable(text))


def _taught(client: Client, target: str, example_id: int) -> ChangeMade:
    return ChangeMade(client.fix(target, example_id).message)


def _discarded(client: Client, example_id: int) -> ChangeMade:
    client.discard(example_id)
    return ChangeMade(f"example {example_id} is discarded")


def _key(item: InboxItem) -> tuple[object, ...]:
    return (item.kind, item.example.id, item.older and item.older.id)
