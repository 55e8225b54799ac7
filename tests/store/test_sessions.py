"""Conversations as lists of turns: what they show, find, share and leave behind."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from shammah.errors import NotFound
from shammah.records import Example, ExampleStatus, Level, Message, Session
from shammah.store.database import Store
from tests.store.filling import Filler

NUMBERS = count()


@pytest.fixture
def talk(store: Store, fill: Filler) -> Session:
    """A session of two exchanges."""
    return said(store, fill, ("Where is the quillfeather?", "In the attic."), ("Why?", "It hides."))


def said(store: Store, fill: Filler, *exchanges: tuple[str, str]) -> Session:
    session = store.sessions.add()
    for question, answer in exchanges:
        record(store, fill, session, question, answer)
    return store.sessions.get(session.id)


def record(store: Store, fill: Filler, session: Session, question: str, answer: str) -> str:
    """The turn's id; its context is the whole conversation before it."""
    turn_id = f"turn-{next(NUMBERS)}"
    context = [
        message
        for one in store.sessions.said(session.id)
        for message in (
            Message(role="user", content=one.question),
            Message(role="assistant", content=one.correction or one.answer),
        )
    ]
    turn = fill.turn(f"{turn_id}-template")
    messages = [*context, Message(role="user", content=question)]
    store.record_turn(replace(turn, id=turn_id, messages=messages, answer=answer), session.id)
    return turn_id


def correct(store: Store, turn_id: str, target: str) -> Example:
    turn = store.turns.get(turn_id)
    _, example = store.record_feedback(
        turn_id, Level.CRITICAL, 10, None, target, messages=turn.messages[-1:],
        status=ExampleStatus.READY, target=target, rejected=turn.answer,
    )  # fmt: skip
    return example


def questions(store: Store, session: Session) -> list[str]:
    return [one.question for one in store.sessions.said(session.id)]


def files_with(part: bytes, database: Path) -> list[str]:
    return [file.name for file in database.parent.iterdir() if part in file.read_bytes()]


def test_a_session_is_what_was_said_in_it(store: Store, talk: Session) -> None:
    assert (talk.opening, talk.exchanges, talk.name) == ("Where is the quillfeather?", 2, None)
    assert questions(store, talk) == ["Where is the quillfeather?", "Why?"]


def test_the_newest_is_listed_first_and_an_empty_one_is_not(
    store: Store, fill: Filler, talk: Session
) -> None:
    store.sessions.add()
    later = said(store, fill, ("Hello", "Hi"))
    assert [one.id for one in store.sessions.list()] == [later.id, talk.id]
    record(store, fill, talk, "And now?", "Gone.")
    assert [one.id for one in store.sessions.list(1)] == [talk.id]


def test_the_conversation_goes_on_from_a_correction(store: Store, talk: Session) -> None:
    correct(store, store.sessions.said(talk.id)[0].id, "In the zanzimbar.")
    [first, second] = store.sessions.said(talk.id)
    assert (first.correction, second.correction) == ("In the zanzimbar.", None)


def test_what_was_taken_back_is_no_part_of_it(store: Store, talk: Session) -> None:
    store.sessions.take_back(talk.id, store.sessions.said(talk.id)[1].id)
    assert questions(store, talk) == ["Where is the quillfeather?"]
    assert store.sessions.search("hides") == []
    with pytest.raises(NotFound):
        store.sessions.take_back(talk.id, "no-such-turn")


@pytest.mark.parametrize("words", ["quillfeather", "attic", "QUILL", "where attic", '"why" hiding'])
def test_questions_and_answers_are_searched(store: Store, talk: Session, words: str) -> None:
    assert [session.id for session, _ in store.sessions.search(words)] == [talk.id]


@pytest.mark.parametrize("words", ["", "?", "zebra", "quillfeather zebra", "' OR said:x"])
def test_what_was_not_said_is_not_found(store: Store, talk: Session, words: str) -> None:
    assert store.sessions.search(words) == []


def test_each_session_is_found_once(store: Store, fill: Filler) -> None:
    talk = said(store, fill, ("otter", "an otter"), ("otter again", "yes, otter"))
    assert [session.id for session, _ in store.sessions.search("otter")] == [talk.id]


def test_a_fork_goes_its_own_way(store: Store, fill: Filler, talk: Session) -> None:
    fork = store.sessions.fork(talk.id, 1)
    record(store, fill, fork, "How?", "So.")
    assert questions(store, fork) == ["Where is the quillfeather?", "How?"]
    assert questions(store, talk) == ["Where is the quillfeather?", "Why?"]
    assert questions(store, store.sessions.fork(talk.id)) == questions(store, talk)


def test_deleted_for_good_leaves_no_byte(
    store: Store, fill: Filler, talk: Session, database: Path
) -> None:
    store.sessions.rename(talk.id, "the wrumblekin")
    store.sessions.take_back(talk.id, record(store, fill, talk, "undone", "also secret"))
    other = said(store, fill, ("Hello", "Hi"))
    store.sessions.delete(talk.id)
    store.erasure.compact()
    with pytest.raises(NotFound):
        store.sessions.get(talk.id)
    assert [one.id for one in store.sessions.list()] == [other.id]
    # The index keeps stems, not words: `quillfeath`.
    for part in (b"quillfeath", b"attic", b"wrumblek", b"undone", b"secret"):
        assert files_with(part, database) == []
    assert store.integrity_check() == []


def test_what_a_fork_still_says_stays(store: Store, fill: Filler, talk: Session) -> None:
    fork = store.sessions.fork(talk.id, 1)
    store.sessions.delete(talk.id)
    assert questions(store, fork) == ["Where is the quillfeather?"]
    assert store.sessions.search("hides") == []


def test_an_example_keeps_its_own_words_and_no_more(
    store: Store, talk: Session, database: Path
) -> None:
    example = correct(store, store.sessions.said(talk.id)[1].id, "It sleeps.")
    assert store.sessions.examples(talk.id) == [example.id]
    store.sessions.delete(talk.id)
    store.erasure.compact()
    assert store.examples.get(example.id) == example
    assert files_with(b"quillfeath", database) == []


def test_an_answer_of_a_session_deleted_meanwhile_is_not_recorded(
    store: Store, fill: Filler, talk: Session
) -> None:
    store.sessions.delete(talk.id)
    turn_id = "turn-late"
    store.record_turn(replace(fill.turn("template"), id=turn_id), talk.id)
    with pytest.raises(NotFound):
        store.turns.get(turn_id)


def test_forgetting_an_example_takes_it_out_of_its_session(
    store: Store, talk: Session, database: Path
) -> None:
    store.sessions.rename(talk.id, "in the zanzimbar loft, they say")
    example = correct(store, store.sessions.said(talk.id)[0].id, "in the zanzimbar loft")
    store.erasure.erase(example.id, store.erasure.texts(example))
    store.erasure.compact()
    left = store.sessions.get(talk.id)
    assert (left.exchanges, left.name) == (1, None)
    assert store.sessions.search("quillfeather") == []
    for part in (b"quillfeath", b"zanzimbar"):
        assert files_with(part, database) == []
