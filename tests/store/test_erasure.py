"""What is erased with an example, what is not, and that the file keeps no byte of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shammah.errors import NotFound
from shammah.records import Example, ExampleStatus, Level, Message
from shammah.store.database import Store
from shammah.store.erasure import Erased, Texts
from tests.store.filling import Filler

QUESTION = 'Where is the "spare" key?\nTell me.'  # as JSON its bytes are others
TARGET = "Under the watering can."
NOTE = "it is not in the drawer"


def user(content: str) -> Message:
    return Message(role="user", content=content)


def assistant(content: str) -> Message:
    return Message(role="assistant", content=content)


def turn(store: Store, fill: Filler, turn_id: str, *messages: Message, answer: str = "No.") -> None:
    filled = fill.turn(f"{turn_id}-template")
    store.turns.add(replace(filled, id=turn_id, messages=list(messages), answer=answer))


def example(
    store: Store, turn_id: str, *messages: Message, target: str, note: str | None = None
) -> Example:
    _, made = store.record_feedback(
        turn_id, Level.CRITICAL, 10, note, target, messages=list(messages),
        status=ExampleStatus.READY, target=target, rejected="No.",
    )  # fmt: skip
    return made


def forget(store: Store, one: Example) -> Erased:
    erased = store.erasure.erase(one.id, store.erasure.texts(one))
    store.erasure.compact()
    return erased


@pytest.fixture
def key(store: Store, fill: Filler) -> Example:
    turn(store, fill, "turn-key", user(QUESTION), answer="In the drawer, I believe.")
    return example(store, "turn-key", user(QUESTION), target=TARGET, note=NOTE)


def test_the_rows_stay_without_a_word_and_the_file_without_a_byte(
    store: Store, key: Example, database: Path, fill: Filler
) -> None:
    version = fill.version(key)
    forget(store, key)
    empty = store.examples.get(key.id)
    assert (empty.status, empty.messages, empty.target, empty.rejected, empty.note) == (
        ExampleStatus.FORGOTTEN, [], None, None, None,
    )  # fmt: skip
    assert key.feedback_id is not None
    feedback = store.feedback.get(key.feedback_id)
    assert (feedback.level, feedback.note, feedback.correction) == (Level.CRITICAL, None, None)
    assert (store.turns.get("turn-key").messages, store.turns.get("turn-key").answer) == ([], "")
    assert store.turns.by_answer("In the drawer, I believe.") is None
    assert store.versions.taught_to(key.id) == [version.number]
    assert store.versions.taught(version.number) == {key.id: ""}
    assert store.versions.with_forgotten() == {version.number: [key.id]}
    for file in database.parent.iterdir():
        for part in (b"spare", b"watering can", b"drawer", key.content_hash.encode()):
            assert part not in file.read_bytes(), (file, part)


def test_an_erasure_without_compacting_leaves_bytes_in_the_log(
    store: Store, key: Example, database: Path
) -> None:
    """The control of the test above: what it looks for can be found."""
    store.erasure.erase(key.id, store.erasure.texts(key))
    assert any(b"watering can" in file.read_bytes() for file in database.parent.iterdir())


def test_later_turns_lose_the_exchange_and_keep_the_rest(
    store: Store, key: Example, fill: Filler
) -> None:
    others = [user("Hello"), assistant("Hi.")]
    later = [*others, user(QUESTION), assistant(TARGET), user("Thanks, and the shed?")]
    turn(store, fill, "turn-later", *later)
    following = example(store, "turn-later", *later, target="It is open.")
    erased = forget(store, key)
    kept = [*others, user("Thanks, and the shed?")]
    assert store.turns.get("turn-later").messages == kept
    assert store.examples.get(following.id).messages == kept
    assert erased == Erased(["turn-key"], [])


def test_a_turn_that_asks_it_again_is_deleted(store: Store, key: Example, fill: Filler) -> None:
    turn(store, fill, "turn-again", user(QUESTION), answer=f"As I said: {TARGET}")
    turn(store, fill, "turn-other", user("Where is the can?"), answer="Nowhere.")
    assert forget(store, key).turn_ids == ["turn-key", "turn-again"]
    with pytest.raises(NotFound):
        store.turns.get("turn-again")
    assert store.turns.get("turn-other").answer == "Nowhere."


def test_what_another_example_says_itself_stays_and_is_named(
    store: Store, key: Example, fill: Filler
) -> None:
    turn(store, fill, "turn-twin", user(QUESTION))
    twin = example(store, "turn-twin", user(QUESTION), target="In the shed.")
    assert forget(store, key).also_in == [twin.id]
    assert store.examples.get(twin.id) == twin
    assert store.turns.get("turn-twin").messages == [user(QUESTION)]


def test_a_short_text_is_erased_only_where_it_stands_alone() -> None:
    texts = Texts.of(["Yes.", "4711", " ", None, "a longer sentence"])
    assert texts.parts == ("Yes.", "4711", "a longer sentence")
    assert texts.are_in(" Yes. ")
    assert not texts.are_in("Yes. It is raining.")
    assert texts.are_in("The number is 4711, he said.")
    assert texts.are_in("Here is a longer sentence.")
    assert not texts.are_in("")


def test_an_exchange_goes_as_a_whole(store: Store) -> None:
    texts = Texts.of(["the secret place"])
    system = Message(role="system", content="Be brief.")
    messages = [system, user("Where?"), assistant("It is the secret place."), user("Why?")]
    assert texts.cut_from(messages) == [system, user("Why?")]


def test_a_deleted_version_is_skipped_by_every_rollback(store: Store, fill: Filler) -> None:
    one = fill.example()
    for _ in range(3):
        fill.version(one)
    store.delete_version(2)
    assert [version.number for version in store.versions.list()] == [3, 1]
    assert store.versions.taught(2) == {}
    assert store.pointer.previous().version == 1
    assert store.integrity_check() == []
    assert fill.version(one).number == 4  # a number is never used again


def test_a_rollback_never_leads_to_where_it_is(store: Store, fill: Filler) -> None:
    for _ in range(2):
        fill.version()
    store.pointer.move(store.pointer.previous())  # to version 1, by way of 2
    fill.version()
    store.pointer.move(replace(store.pointer.previous(), version=1))
    store.delete_version(2)
    store.delete_version(3)
    assert store.pointer.previous().version == 0
