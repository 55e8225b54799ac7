"""The inbox: what waits for the user's word. Nobody is asked; who looks is shown it.

Drafts, likely secrets, and examples that ask the same. Knows no HTTP.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from shammah.errors import Conflict, UsageError
from shammah.feedback.secrets import secrets_in
from shammah.protocol import InboxKind
from shammah.records import Example, ExampleStatus
from shammah.store.database import Store
from shammah_daemon.database import Database
from shammah_daemon.twins import compare, same_target


@dataclass(frozen=True)
class Waiting:
    """One item of the inbox."""

    kind: InboxKind
    example: Example  # of two that ask the same: the newer one
    older: Example | None = None

    @property
    def secrets(self) -> list[str]:
        """Kinds of likely secrets in the example."""
        one = self.example
        return secrets_in(one.messages, one.target, one.note) if self.kind == "secret" else []


class Inbox:
    """Shows what waits, and takes the user's word on it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def look(self) -> list[Waiting]:
        """Everything that waits."""
        await compare(self._database)
        return await self._database.run(waiting)

    async def settle(self, first_id: int, second_id: int, holds_id: int | None) -> None:
        """Which of two examples holds; None where both do.

        Raises:
            UsageError: `holds_id` is none of the two.
            NotFound: no such two wait for a word.
        """
        if holds_id not in (None, first_id, second_id):
            raise UsageError(
                f"example {holds_id} is not one of the two examples {first_id} and {second_id}",
                hint="say which of these two holds, or none if both do",
            )
        await self._database.run(lambda store: store.settle_twins(first_id, second_id, holds_id))

    async def discard(self, example_id: int) -> Example:
        """Never complete a draft.

        Raises:
            NotFound: no such example.
            Conflict: it is no draft.
        """
        return await self._database.run(lambda store: _discard(store, example_id))


def waiting(store: Store) -> list[Waiting]:
    """What is known to wait: the most urgent kind first, the oldest of a kind first."""
    pairs = [_pair(store, first, second) for first, second in store.twins.open()]
    return [
        *(Waiting("secret", one) for one in reversed(store.examples.list(ExampleStatus.HELD))),
        *(pair for pair in pairs if pair.kind == "contradiction"),
        *(pair for pair in pairs if pair.kind == "duplicate"),
        *(Waiting("draft", one) for one in reversed(store.examples.list(ExampleStatus.DRAFT))),
    ]


def count(store: Store) -> dict[InboxKind, int]:
    """How many of each kind wait; kinds of which none waits are left out."""
    counts = store.examples.counts()
    found: Counter[InboxKind] = Counter(
        _pair(store, first, second).kind for first, second in store.twins.open()
    )
    found["secret"], found["draft"] = counts[ExampleStatus.HELD], counts[ExampleStatus.DRAFT]
    return {kind: number for kind, number in found.items() if number}


def _pair(store: Store, first_id: int, second_id: int) -> Waiting:
    """Two that ask the same: the newer one is what the user said last."""
    older, newer = store.examples.in_order([first_id, second_id])
    kind: InboxKind = "duplicate" if same_target(older, newer) else "contradiction"
    return Waiting(kind, newer, older)


def _discard(store: Store, example_id: int) -> Example:
    example = store.examples.get(example_id)
    if example.status is not ExampleStatus.DRAFT:
        raise Conflict(
            f"example {example_id} is {example.status}: only a draft can be discarded",
            hint=f"'shammah examples forget {example_id}' takes it out of all lessons",
        )
    return store.examples.set_status(example_id, ExampleStatus.DISCARDED)
