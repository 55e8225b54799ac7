"""Which examples ask the same, kept in step with every change of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import pytest

from shammah.feedback.twins import all_twins, asked
from shammah.records import Active, Example, ExampleStatus, Level, Message
from shammah.store.database import Store
from shammah_daemon.database import Database
from shammah_daemon.twins import compare
from tests.store.filling import BASE, Filler

WORDS = ("north", "northern", "gate", "gates", "opens", "open", "colour", "color", "7", "70")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.open(tmp_path / "shammah.db")
    store.pointer.move(Active(BASE, 0))
    return store


@pytest.fixture
def database(store: Store) -> Iterator[Database]:
    database = Database(store)
    yield database
    database.close()


def ask(store: Store, number: int, question: str, target: str = "Port 7443.") -> Example:
    turn = f"turn-{number}"
    Filler(store).turn(turn)
    _, example = store.record_feedback(
        turn, Level.CRITICAL, 10, None, target, messages=[Message(role="user", content=question)],
        status=ExampleStatus.READY, target=target, rejected="Port 80.",
    )  # fmt: skip
    return example


def groups(pairs: list[tuple[int, int]]) -> set[frozenset[int]]:
    """Examples that pairs hold together: each is asked about until one of a group is left."""
    found: set[frozenset[int]] = set()
    for pair in pairs:
        joined = frozenset(pair).union(*(group for group in found if group & set(pair)))
        found = {group for group in found if not group & joined} | {joined}
    return found


def expected(store: Store) -> set[frozenset[int]]:
    return groups(all_twins(asked(one.id, one.messages) for one in store.examples.ready()))


def test_after_any_change_it_finds_what_comparing_all_with_all_finds(
    store: Store, database: Database
) -> None:
    draw = random.Random(0)
    examples: list[Example] = []
    seen = 0
    for step in range(40):
        for number in range(draw.randint(0, 12)):
            words = " ".join(draw.choices(WORDS, k=draw.randint(1, 3)))
            examples.append(ask(store, 100 * step + number, f"Which {words}?"))
        for example in draw.sample(examples, min(len(examples), 3)):
            status = draw.choice([ExampleStatus.READY, ExampleStatus.HELD])
            store.examples.set_status(example.id, status)
        asyncio.run(compare(database))
        assert groups(store.twins.open()) == expected(store)
        seen += len(store.twins.open())
    assert seen > 1000


def test_what_stood_between_two_and_is_forgotten_leaves_them_compared_with_each_other(
    store: Store, database: Database
) -> None:
    first, middle, last = (ask(store, n, "Which port?", f"Port {n}.") for n in (1, 2, 3))
    asyncio.run(compare(database))
    assert store.twins.open() == [(first.id, middle.id), (middle.id, last.id)]
    store.erasure.erase(middle.id, store.erasure.texts(middle))
    asyncio.run(compare(database))
    assert (first.id, last.id) in store.twins.open()


def test_no_word_of_a_forgotten_example_is_kept_to_compare_others_with(
    store: Store, database: Database
) -> None:
    example = ask(store, 1, "Which orchid blooms?")
    asyncio.run(compare(database))
    words = "SELECT word FROM asked ORDER BY word"
    assert [row["word"] for row in store._connection.rows(words)] == [
        "",
        "blooms",
        "orchid",
        "which",
    ]
    store.erasure.erase(example.id, store.erasure.texts(example))
    assert store._connection.rows(words) == []


@pytest.mark.alone
def test_one_more_costs_little_where_thousands_differ_from_it_by_a_name(
    store: Store, database: Database
) -> None:
    draw = random.Random(0)
    with store.transaction():
        for number in range(5000):
            name = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=8))
            ask(store, number, f"Who leads the {name} team?")
    asyncio.run(compare(database))
    ask(store, 5000, "Who leads the zebra team?")
    begin = perf_counter()
    asyncio.run(compare(database))
    assert perf_counter() - begin < 0.05
