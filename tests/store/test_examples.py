"""Feedback and the example that follows from it; drafts, targets, forgetting, waiting."""

from __future__ import annotations

import sqlite3

import pytest

from shammah.errors import NotFound
from shammah.records import Active, Example, ExampleStatus, Level, Message
from shammah.store.database import Store
from tests.store.filling import BASE, Clock, Filler


def record(store: Store, level: Level, weight: int, target: str | None) -> Example:
    _, example = store.record_feedback(
        "turn-1",
        level,
        weight,
        "a note",
        target,
        messages=[Message(role="user", content="Which port?")],
        status=ExampleStatus.READY if target else ExampleStatus.DRAFT,
        target=target,
        rejected=None,
    )
    return example


def test_feedback_and_its_example_are_recorded_together(store: Store, fill: Filler) -> None:
    turn = fill.turn()
    feedback, example = store.record_feedback(
        turn.id,
        Level.CRITICAL,
        10,
        "wrong port",
        "Port 7443.",
        messages=turn.messages,
        status=ExampleStatus.READY,
        target="Port 7443.",
        rejected=turn.answer,
    )
    assert store.feedback.newest() == store.feedback.get(feedback.id) == feedback
    assert store.examples.get(example.id) == store.examples.of_turn(turn.id) == example
    assert (feedback.level, feedback.weight, feedback.correction) == ("critical", 10, "Port 7443.")
    assert (example.feedback_id, example.note, example.question) == (
        feedback.id,
        "wrong port",
        "Which port?",
    )


def test_feedback_on_an_unknown_turn_records_nothing(store: Store) -> None:
    with pytest.raises(NotFound, match="turn-1"):
        record(store, Level.GOOD, 1, "Port 80.")
    assert store.feedback.newest() is None
    assert store.examples.list() == []


def test_newer_feedback_decides_the_example_anew(store: Store, fill: Filler, clock: Clock) -> None:
    fill.turn()
    first = record(store, Level.CRITICAL, 10, None)
    clock.advance(60)
    second = record(store, Level.MEDIUM, 3, "Port 7443.")
    assert store.examples.list() == [second]
    assert (second.id, second.created_at) == (first.id, first.created_at)
    assert second.updated_at > first.updated_at
    assert (second.weight, second.status) == (3, ExampleStatus.READY)
    assert first.feedback_id is not None
    assert store.feedback.get(first.feedback_id).weight == 10  # never edited


def test_an_accepted_target_makes_a_draft_ready(store: Store, fill: Filler, clock: Clock) -> None:
    draft = fill.example(target=None)
    clock.advance(1)
    ready = store.examples.set_target(draft.id, "Port 7443.")
    assert (ready.status, ready.target) == (ExampleStatus.READY, "Port 7443.")
    assert ready.updated_at > draft.updated_at
    assert store.examples.get(draft.id) == ready


def test_a_forgotten_example_is_only_shown_when_asked_for(store: Store, fill: Filler) -> None:
    kept = fill.example("turn-1")
    forgotten = store.examples.set_status(fill.example("turn-2").id, ExampleStatus.FORGOTTEN)
    assert store.examples.list() == store.examples.ready() == [kept]
    assert store.examples.list(ExampleStatus.FORGOTTEN) == [forgotten]


def test_the_file_itself_refuses_a_rejected_answer_as_target(store: Store, fill: Filler) -> None:
    example = fill.example()
    assert example.rejected is not None
    with pytest.raises(sqlite3.IntegrityError):
        store.examples.set_target(example.id, example.rejected)


def test_examples_are_listed_newest_first(store: Store, fill: Filler) -> None:
    ids = [fill.example(f"turn-{number}").id for number in range(4)]
    assert [example.id for example in store.examples.list()] == ids[::-1]
    assert [example.id for example in store.examples.ready()] == ids


def test_examples_are_counted_by_status(store: Store, fill: Filler) -> None:
    fill.example("turn-1")
    fill.example("turn-2", target=None)
    fill.example("turn-3")
    assert store.examples.counts() == dict.fromkeys(ExampleStatus, 0) | {"draft": 1, "ready": 2}


def test_an_unknown_example_is_named(store: Store) -> None:
    with pytest.raises(NotFound, match="no example 77"):
        store.examples.get(77)


def test_what_the_active_version_was_taught_does_not_wait(store: Store, fill: Filler) -> None:
    taught = fill.example("turn-1")
    fill.example("turn-2", target=None)
    version = fill.version(taught)
    new = fill.example("turn-3")
    assert store.examples.waiting(Active(BASE, version.number)) == [new]
    assert store.examples.count_waiting(Active(BASE, version.number)) == 1
    assert store.examples.waiting(Active(BASE, 0)) == [taught, new]


def test_a_changed_example_waits_again(store: Store, fill: Filler) -> None:
    example = fill.example()
    active = Active(BASE, fill.version(example).number)
    assert store.examples.waiting(active) == []
    changed = store.examples.set_target(example.id, "Port 7444.")
    assert store.examples.waiting(active) == [changed]


def test_what_the_active_version_should_not_know_any_more_is_outdated(
    store: Store, fill: Filler
) -> None:
    kept, changed = fill.example("turn-1"), fill.example("turn-2")
    active = Active(BASE, fill.version(kept, changed).number)
    assert store.examples.outdated(active) == []
    superseded = store.examples.supersede(changed.id, kept.id)
    assert store.examples.outdated(active) == [superseded]
    assert store.examples.outdated(Active(BASE, 0)) == []


def test_what_changed_since_is_fresh_if_it_waits_or_is_outdated(
    store: Store, fill: Filler, clock: Clock
) -> None:
    known, changed, dropped, _ = (fill.example(f"turn-{number}") for number in range(4))
    active = Active(BASE, fill.version(known, changed, dropped).number)
    assert store.examples.count_fresh(active, 0) == 1  # the one that it was not taught
    since = store.examples.newest_change()
    assert store.examples.count_fresh(active, since) == 0
    clock.advance(-3600)  # it was set back
    store.examples.set_target(changed.id, "Port 7444.")
    store.examples.supersede(dropped.id, known.id)
    fill.example("turn-8", target=None)  # a draft
    fill.example("turn-9")
    assert store.examples.count_fresh(active, since) == 3


def test_what_changed_last_comes_last_whatever_the_clock_says(
    store: Store, fill: Filler, clock: Clock
) -> None:
    first, second = (fill.example(f"turn-{number}") for number in range(2))
    assert [one.id for one in store.examples.in_order([second.id, first.id])] == [
        first.id,
        second.id,
    ]
    clock.advance(-3600)  # it was set back
    store.examples.set_target(first.id, "Port 7444.")
    assert [one.id for one in store.examples.in_order([first.id, second.id])] == [
        second.id,
        first.id,
    ]
