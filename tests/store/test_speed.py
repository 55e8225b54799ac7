"""Calls stay fast in a store that has been used for years."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shammah.records import Active, ExampleStatus
from shammah.store.database import Store
from tests.store.filling import BASE, SESSIONS, Filler, add_example
from tests.timing import best_milliseconds


@pytest.fixture
def old_store(store: Store, fill: Filler) -> Store:
    examples = fill.years()
    fill.version(*examples)
    add_example(store, "turn-50000")
    store.examples.set_status(examples[0].id, ExampleStatus.FORGOTTEN)
    store.twins.add((one.id, one.id + 1) for one in examples[1:50])
    return store


@pytest.mark.alone
def test_every_call_of_a_chat_takes_under_5_ms_and_the_count_of_waiting_10(
    old_store: Store,
) -> None:
    store, active = old_store, Active(BASE, 1)
    store._connection.database.execute("PRAGMA synchronous = OFF")  # the disk's time is its own
    newest = store.examples.newest_change()
    calls: dict[str, Callable[[], object]] = {
        "newest turn": store.turns.newest,
        "turn": lambda: store.turns.get("turn-99000"),
        "turn by answer": lambda: store.turns.by_answer("Answer 70."),
        "feedback": lambda: add_example(store, "turn-60000"),
        "newest feedback": store.feedback.newest,
        "example of turn": lambda: store.examples.of_turn("turn-9000"),
        "fresh": lambda: store.examples.count_fresh(active, newest),
        "count of waiting": lambda: store.examples.count_waiting(active),
        "unlearned": lambda: store.examples.unlearned(BASE, ["port", "part9000"], 20),
        "counts": store.examples.counts,
        "outdated": lambda: store.examples.outdated(active),
        "versions that know what is forgotten": store.versions.with_forgotten,
        "open twins": store.twins.open,
        "session that is there": lambda: store.sessions.require(SESSIONS),
        "session": lambda: store.sessions.get(SESSIONS),
        "conversation": lambda: store.sessions.said(SESSIONS),
        "search": lambda: store.sessions.search("70007"),
        "verdict": lambda: store.verdicts.newest(9000),
    }
    taken = {name: best_milliseconds(act, runs=100) for name, act in calls.items()}
    looks_at_every_example = taken.pop("count of waiting")
    assert {name: ms for name, ms in taken.items() if ms >= 5} == {}
    assert looks_at_every_example < 10
