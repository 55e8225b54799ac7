"""Goes through the inbox with the user, item by item; draws nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from shammah.client import Client
from shammah.errors import DaemonUnreachable, ShammahError, UsageError
from shammah.protocol import FeedbackReceipt, InboxItem
from shammah.repl import views
from shammah.repl.asker import LEAVE, Asker
from shammah.repl.forget import delete_obsolete

#: What can be answered to every item.
SKIP = "s"
_ALWAYS = {SKIP: "skip", LEAVE: "leave"}

#: Of every item: what can be answered, by its letter, and what it does.
Answers = Mapping[str, tuple[str, Callable[[], None]]]


def review(client: Client, asker: Asker) -> None:
    """Show what waits, one after another, until all is answered, skipped or left."""
    skipped: set[tuple[object, ...]] = set()
    while True:
        waiting = [item for item in client.inbox() if _key(item) not in skipped]
        if not waiting:
            delete_obsolete(client, asker=asker, say=asker.say, yes=False)
            asker.say("nothing else waits" if skipped else "nothing waits for you")
            return
        item = waiting[0]
        asker.show(views.inbox_item(item, len(waiting)))
        answers = _answers(client, asker, item)
        chosen = asker.choose({letter: text for letter, (text, _) in answers.items()} | _ALWAYS)
        if chosen == LEAVE:
            return
        if chosen == SKIP:
            skipped.add(_key(item))
        else:
            _carry_out(answers[chosen][1], asker)


def edited(asker: Asker, text: str) -> str:
    """The text as the user leaves it. Raises UsageError when nothing is left."""
    target = asker.edit(text)
    if not target:
        raise UsageError("nothing was written", hint="the example stays as it was")
    return target


def _carry_out(act: Callable[[], None], asker: Asker) -> None:
    """An answer that cannot be carried out is said; the item is asked again."""
    try:
        act()
    except DaemonUnreachable:
        raise
    except ShammahError as error:
        asker.fail(error)


def _answers(client: Client, asker: Asker, item: InboxItem) -> Answers:
    match item.kind:
        case "draft":
            return _on_draft(client, asker, item)
        case "secret":
            return _on_secret(client, asker, item)
        case "contradiction" | "duplicate":
            return _on_twins(client, asker, item)


def _on_draft(client: Client, asker: Asker, item: InboxItem) -> Answers:
    example = item.example
    try:
        proposal = client.draft(example.id).text
    except ShammahError as error:
        asker.say(f"no draft: {error.message}")
        proposal = ""

    def teach(target: str) -> None:
        _tell(asker, client.fix(target, example.id))

    def discard() -> None:
        client.discard(example.id)
        asker.say(f"example {example.id} is discarded")

    answers: dict[str, tuple[str, Callable[[], None]]] = {}
    if proposal:
        asker.show(views.proposal(proposal))
        answers["a"] = ("accept the proposal", lambda: teach(proposal))
    note = example.note
    if note is not None and note.strip() != proposal:
        answers["n"] = ("use my note", lambda: teach(note))
    answers["e"] = ("edit", lambda: teach(edited(asker, proposal)))
    answers["d"] = ("discard", discard)
    return answers


def _on_secret(client: Client, asker: Asker, item: InboxItem) -> Answers:
    example = item.example

    def edit() -> None:
        _tell(asker, client.fix(edited(asker, example.target or ""), example.id))

    def forget() -> None:
        asker.say(client.forget(example.id).message)

    return {
        "l": ("learn it", lambda: _tell(asker, client.allow(example.id))),
        "e": ("edit the answer", edit),
        "f": ("forget it", forget),
    }


def _on_twins(client: Client, asker: Asker, item: InboxItem) -> Answers:
    newer, older = item.example.id, item.older.id if item.older else 0

    def settle(holds: int | None) -> None:
        client.settle(older, newer, holds)
        if holds is None:
            asker.say(f"examples {older} and {newer} both stay")
        else:
            other = older if holds == newer else newer
            asker.say(f"example {holds} holds; example {other} is kept as history only")

    return {
        "n": (f"the newer holds ({newer})", lambda: settle(newer)),
        "o": (f"the older holds ({older})", lambda: settle(older)),
        "b": ("both stay", lambda: settle(None)),
    }


def _tell(asker: Asker, receipt: FeedbackReceipt) -> None:
    asker.say(receipt.message)


def _key(item: InboxItem) -> tuple[object, ...]:
    return (item.kind, item.example.id, item.older and item.older.id)
