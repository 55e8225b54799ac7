"""Pairs of examples that ask the same: recorded, open, settled; and what happens to the loser."""

from __future__ import annotations

import pytest

from shammah.errors import NotFound
from shammah.records import Active, Example, ExampleStatus
from shammah.store.database import Store
from tests.store.filling import BASE, Clock, Filler


@pytest.fixture
def pair(store: Store, fill: Filler) -> tuple[Example, Example]:
    older, newer = fill.example("turn-1"), fill.example("turn-2", target="Port 7444.")
    store.twins.add([(newer.id, older.id)])
    return older, newer


def test_a_pair_is_open_once_in_whatever_order_it_is_found(
    store: Store, pair: tuple[Example, Example]
) -> None:
    older, newer = pair
    store.twins.add([(older.id, newer.id), (newer.id, older.id)])
    assert store.twins.open() == [(older.id, newer.id)]


def test_the_loser_is_kept_as_history_and_never_taught_or_counted(
    store: Store, pair: tuple[Example, Example], clock: Clock
) -> None:
    older, newer = pair
    clock.advance(1)
    store.settle_twins(older.id, newer.id, newer.id)
    loser = store.examples.get(older.id)
    assert (loser.status, loser.superseded_by) == (ExampleStatus.SUPERSEDED, newer.id)
    assert loser.target == "Port 7443."
    assert store.examples.ready() == store.examples.waiting(Active(BASE, 0)) == [newer]
    assert store.examples.count_waiting(Active(BASE, 0)) == 1
    assert store.examples.list() == [newer]
    assert store.examples.list(ExampleStatus.SUPERSEDED) == [loser]
    assert store.twins.open() == []


def test_two_that_both_hold_are_not_asked_about_again(
    store: Store, pair: tuple[Example, Example]
) -> None:
    older, newer = pair
    store.settle_twins(newer.id, older.id, None)
    store.twins.add([(older.id, newer.id)])
    assert store.twins.open() == []
    assert store.examples.ready() == [older, newer]
    with pytest.raises(NotFound, match=f"{older.id} and {newer.id} do not wait"):
        store.settle_twins(older.id, newer.id, newer.id)


def test_a_pair_with_an_example_that_is_not_ready_does_not_wait(
    store: Store, pair: tuple[Example, Example]
) -> None:
    older, newer = pair
    store.examples.set_status(older.id, ExampleStatus.HELD)
    assert store.twins.open() == []
    with pytest.raises(NotFound):
        store.settle_twins(older.id, newer.id, newer.id)
    assert store.examples.get(newer.id) == newer


def test_a_new_target_brings_a_superseded_example_back(
    store: Store, pair: tuple[Example, Example]
) -> None:
    older, newer = pair
    store.settle_twins(older.id, newer.id, newer.id)
    back = store.examples.set_target(older.id, "Port 7445.")
    assert (back.status, back.superseded_by) == (ExampleStatus.READY, None)
