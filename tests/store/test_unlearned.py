"""Which examples a question's words find, until a version has learned them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from shammah.records import (
    Example,
    ExampleStatus,
    Judgement,
    Level,
    Message,
    Mode,
    Verdict,
)
from shammah.store import migrations
from shammah.store.database import Store
from tests.store.filling import BASE, Filler


def forget(store: Store, example: Example) -> None:
    store.erasure.erase(example.id, store.erasure.texts(example))


def ask(store: Store, fill: Filler, question: str, turn_id: str = "asked") -> Example:
    """A ready example of `question`."""
    turn = fill.turn(turn_id)
    _, example = store.record_feedback(
        turn.id, Level.CRITICAL, 10, None, "Port 7443.",
        messages=[
            Message(role="system", content="secret orders"),
            Message(role="user", content=question),
        ],
        status=ExampleStatus.READY, target="Port 7443.", rejected=None,
    )  # fmt: skip
    return example


def found(store: Store, *words: str, base: str = BASE) -> list[int]:
    return [example.id for example in store.examples.unlearned(base, words, 20)]


def index_of(store: Store) -> bytes:
    """All that the full-text index holds."""
    return b"".join(
        row["block"] for row in store._connection.rows("SELECT block FROM questions_data")
    )


def promote(store: Store, fill: Filler, example: Example, verdict: Verdict) -> None:
    """A version that was taught the example, with the gate's verdict on it."""
    version = fill.candidate()
    store.promote(version, {example.id: example.content_hash}, [Judgement(example.id, verdict)])


def test_any_shared_stem_finds_it_and_more_of_them_rank_it_higher(
    store: Store, fill: Filler
) -> None:
    gateway = ask(store, fill, "Which port does the gateway listen on?", "one")
    proxy = ask(store, fill, "Which port does the proxy listen on?", "two")
    assert found(store, "ports", "proxies") == [proxy.id, gateway.id]
    assert found(store, "gateways") == [gateway.id]
    assert found(store, "orders") == []
    assert found(store) == []


@pytest.mark.parametrize("word", ['"', "port OR", "NEAR(", "port*", "-port", "question:up"])
def test_words_are_no_query_language(store: Store, fill: Filler, word: str) -> None:
    ask(store, fill, "What is up?")
    assert found(store, word) == []


def test_only_ready_examples_are_found(store: Store, fill: Filler) -> None:
    example = ask(store, fill, "Which port?")
    fill.example("draft", target=None)
    assert found(store, "port") == [example.id]
    forget(store, example)
    assert found(store, "port") == []


def test_an_example_that_is_asked_anew_is_found_by_its_new_words(
    store: Store, fill: Filler
) -> None:
    example = ask(store, fill, "Which port?")
    _, changed = store.record_feedback(
        "asked", Level.CRITICAL, 10, None, "Seven.",
        messages=[Message(role="user", content="Which door?")],
        status=ExampleStatus.READY, target="Seven.", rejected=None,
    )  # fmt: skip
    assert changed.id == example.id
    assert (found(store, "port"), found(store, "door")) == ([], [example.id])


def test_what_a_version_has_learned_is_no_longer_found(store: Store, fill: Filler) -> None:
    example = ask(store, fill, "Which port?")
    promote(store, fill, example, Verdict.LEARNED)
    assert found(store, "port") == []
    assert found(store, "port", base="another") == [example.id]


def test_after_a_rollback_what_was_learned_is_not_found(store: Store, fill: Filler) -> None:
    example = ask(store, fill, "Which port?")
    promote(store, fill, example, Verdict.LEARNED)
    store.pointer.move(store.pointer.previous())
    assert found(store, "port") == []


def test_what_the_gate_found_still_wrong_goes_on_being_found(store: Store, fill: Filler) -> None:
    example = ask(store, fill, "Which port?")
    promote(store, fill, example, Verdict.STILL_WRONG)
    assert found(store, "port") == [example.id]


def test_a_newer_correction_of_what_was_learned_is_found(store: Store, fill: Filler) -> None:
    example = ask(store, fill, "Which port?")
    promote(store, fill, example, Verdict.LEARNED)
    store.examples.set_target(example.id, "Port 7444.")
    assert found(store, "port") == [example.id]


def test_what_a_later_version_did_not_judge_again_counts_as_learned(
    store: Store, fill: Filler
) -> None:
    example = ask(store, fill, "Which port?")
    promote(store, fill, example, Verdict.LEARNED)
    store.promote(fill.candidate(), {example.id: example.content_hash}, [])
    assert found(store, "port") == []


def test_the_verdict_of_a_rejected_candidate_does_not_count(store: Store, fill: Filler) -> None:
    example = ask(store, fill, "Which port?")
    promote(store, fill, example, Verdict.STILL_WRONG)
    job = store.jobs.create(BASE, Mode.CONSOLIDATE)
    store.reject(job.id, {}, [Judgement(example.id, Verdict.LEARNED)])
    assert found(store, "port") == [example.id]


def test_the_index_keeps_no_word_of_a_forgotten_example(store: Store, fill: Filler) -> None:
    ask(store, fill, "Which port?", "kept")
    forgotten = [ask(store, fill, f"Where is Zorblax{n}?", f"turn-{n}") for n in range(50)]
    assert b"zorblax" in index_of(store)
    for example in forgotten:
        forget(store, example)
    assert b"zorblax" not in index_of(store)
    assert b"port" in index_of(store)


def test_examples_from_before_the_index_are_found(
    open_store: Callable[[], Store], database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = migrations.STEPS
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "STEPS", steps[: steps.index(migrations.index_questions)])
        open_store().close()
    with closing(sqlite3.connect(database)) as raw, raw:
        raw.execute("INSERT INTO turns VALUES (1, 't', '', 'b', 0, '[]', 'a', x'', 'stop', 1, 1)")
        raw.execute("INSERT INTO feedback VALUES (1, 't', 'medium', 3, NULL, NULL, '')")
        raw.execute(
            "INSERT INTO examples (id, turn_id, feedback_id, status, level, weight, messages,"
            " target, content_hash, created_at, updated_at) VALUES (1, 't', 1, 'ready', 'medium',"
            """ 3, '[{"role":"user","content":"Which port?"}]', 'Port 80.', '', '', '')"""
        )
    with closing(open_store()) as store:
        assert found(store, "port") == [1]
        assert store.turns.get("t").injected == []
