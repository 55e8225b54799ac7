"""Turns go in and come out by id, by answer, and newest first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shammah.errors import NotFound
from shammah.store.database import Store
from tests.store.filling import Filler


def test_a_turn_comes_out_as_it_went_in(store: Store, fill: Filler) -> None:
    turn = fill.turn(answer="Grüße, 世界 🙂\x00\n")
    assert store.turns.get(turn.id) == turn


def test_the_examples_in_its_context_are_kept(store: Store, fill: Filler) -> None:
    turn = replace(fill.turn(), id="helped", injected=[3, 1])
    store.turns.add(turn)
    assert store.turns.get("helped") == turn


def test_an_unknown_id_is_named(store: Store) -> None:
    with pytest.raises(NotFound, match="chatcmpl-nope") as caught:
        store.turns.get("chatcmpl-nope")
    assert caught.value.hint


def test_the_newest_turn_is_the_one_added_last(store: Store, fill: Filler) -> None:
    assert store.turns.newest() is None
    fill.turn("b")
    last = fill.turn("a")
    assert store.turns.newest() == last


def test_an_answer_leads_to_its_newest_turn(store: Store, fill: Filler) -> None:
    fill.turn("first", answer="Yes.")
    second = fill.turn("second", answer="Yes.\n")
    fill.turn("third", answer="No.")
    assert store.turns.by_answer(" Yes.") == second


def test_an_answer_that_was_never_given_leads_nowhere(store: Store, fill: Filler) -> None:
    fill.turn(answer="Yes.")
    assert store.turns.by_answer("yes.") is None
