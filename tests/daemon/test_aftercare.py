"""A version that does worse than it should is proposed for a rollback, or taken back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from shammah.client import Client
from shammah.records import Active, ExampleStatus, Level, Message, Turn
from shammah.store.database import Store
from shammah_daemon.aftercare import proposal
from tests.asking import TARGET, answered, case
from tests.conftest import StartDaemon
from tests.running import TINY_LESSON
from tests.store.filling import BASE, Clock, Filler
from tests.versions import Taught

QUESTIONS = ("Which port does it use?", "Who feeds the cats?", "When do we release?")
TARGETS = ("It uses port 7443.", "Mrs. Okonjo feeds them.", "We release every Tuesday.")


class Book:
    """A store whose clock moves with every turn, and who says what of its answers."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self._clock = clock
        self._turns = 0

    def say(
        self, question: str, answer: str, level: Level | None, target: str | None = None,
        version: int | None = None,
    ) -> None:  # fmt: skip
        """The active version answers, or the one that was named, and the user says what of it."""
        self._clock.advance(1)
        self._turns += 1
        active = self.store.pointer.active()
        assert active is not None
        turn = Turn(
            id=f"turn-{self._turns}", created_at=self._clock.now.isoformat(), base=active.base,
            version=active.version if version is None else version,
            messages=[Message(role="user", content=question)],
            answer=answer, finish_reason="stop", prompt_tokens=1, completion_tokens=1,
        )  # fmt: skip
        self.store.turns.add(turn)
        if level is None:
            return
        status = ExampleStatus.READY if target else ExampleStatus.DRAFT
        self.store.record_feedback(
            turn.id, level, 10, None, target,
            messages=turn.messages, status=status, target=target, rejected=answer,
        )  # fmt: skip

    def teach(self) -> None:
        """A version that was taught all that is ready, a second later."""
        self._clock.advance(1)
        Filler(self.store).version(*self.store.examples.ready())
        self._clock.advance(1)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    """Version 1 of the base, taught three examples."""
    clock = Clock()
    with closing(Store.open(tmp_path / "shammah.db", clock)) as store:
        store.pointer.move(Active(BASE, 0))
        book = Book(store, clock)
        for question, target in zip(QUESTIONS, TARGETS, strict=True):
            book.say(question, "I do not know.", Level.CRITICAL, target)
        book.teach()
        yield book


def test_two_lessons_corrected_again_propose_the_version_before(book: Book) -> None:
    book.say(QUESTIONS[0], "Port 80.", Level.MEDIUM)
    assert proposal(book.store) is None
    book.say("who feeds the cats", "Nobody does.", Level.CRITICAL, TARGETS[1])
    found = proposal(book.store)
    assert found is not None
    assert (found.version, found.leads_to, found.base) == (1, 0, BASE)
    assert found.reason == "2 lessons that it was taught had to be corrected again"


def test_one_lesson_corrected_twice_is_one(book: Book) -> None:
    for _ in range(2):
        book.say(QUESTIONS[0], "Port 80.", Level.CRITICAL, TARGETS[0])
    assert proposal(book.store) is None


def test_feedback_on_what_it_was_not_taught_is_no_relapse(book: Book) -> None:
    for number in range(2):
        book.say(f"What is the name of cat {number}?", "Tom.", Level.MEDIUM, "Bertolina.")
    assert proposal(book.store) is None


def test_a_user_who_dislikes_what_was_taught_has_changed_their_mind(book: Book) -> None:
    book.say(QUESTIONS[0], TARGETS[0], Level.CRITICAL, "It uses port 8080 now.")
    book.say(QUESTIONS[1], TARGETS[1], Level.CRITICAL, "The neighbours' son does.")
    assert proposal(book.store) is None


def test_a_critical_word_that_was_taken_back_does_not_count(book: Book) -> None:
    book.say(QUESTIONS[0], "Port 80.", Level.CRITICAL)
    book.say(QUESTIONS[1], "Nobody does.", Level.CRITICAL)
    book.store.feedback.add("turn-5", Level.GOOD, 1, None, None)
    assert proposal(book.store) is None


def test_a_clear_rise_of_critical_feedback_is_reason_enough(book: Book) -> None:
    for number in range(60):
        book.say(f"Question {number}?", "Fine.", None)
    book.teach()
    for number in range(8):
        book.say(f"Another question {number}?", "Nonsense.", Level.CRITICAL if number % 2 else None)
    found = proposal(book.store)
    assert found is not None
    assert found.reason == "4 of its 8 answers were marked critical, 3 of 63 before"


def test_what_was_asked_of_another_version_does_not_speak_against_the_active_one(
    book: Book,
) -> None:
    for number in range(60):
        book.say(f"Question {number}?", "Fine.", None)
    book.teach()
    for number in range(8):
        book.say(f"Another question {number}?", "Nonsense.", Level.CRITICAL, version=0)
    assert proposal(book.store) is None


def test_a_version_that_the_user_chose_again_begins_anew(book: Book) -> None:
    for question in QUESTIONS:
        book.say(question, "No idea.", Level.CRITICAL)
    assert proposal(book.store) is not None
    for number in (0, 1):
        book.store.pointer.move(Active(BASE, number))
        book._clock.advance(1)
    assert proposal(book.store) is None


def test_the_base_itself_is_never_taken_back(book: Book) -> None:
    book.store.pointer.move(Active(BASE, 0))
    for question in QUESTIONS:
        book.say(question, "No idea.", Level.CRITICAL)
    assert proposal(book.store) is None


def corrected_again(client: Client, number: int) -> str:
    """What the user hears when a taught lesson had to be corrected again: its answer is cut short,
    and so does not hold what was taught."""
    answered(client, case(number), 1)
    return client.feedback(Level.CRITICAL, correction=TARGET).message


def test_a_rollback_is_proposed_once_in_the_chat_and_stays_in_the_status(
    moved_in: Taught, start_daemon: StartDaemon
) -> None:
    with start_daemon(TINY_LESSON).client as client:
        assert "rollback" not in corrected_again(client, 0)
        assert client.status().proposal is None
        assert corrected_again(client, 1).endswith(
            "\nVersion 1 does worse than it should: 2 lessons that it was taught had to be "
            "corrected again. /rollback goes back to version 0."
        )
        assert "rollback" not in corrected_again(client, 2)
        status = client.status()
        assert status.active_version == 1
        assert status.proposal is not None
        assert (status.proposal.version, status.proposal.leads_to) == (1, 0)
        client.rollback()
        assert client.status().proposal is None


def test_a_version_is_taken_back_when_that_is_allowed(
    moved_in: Taught, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon(TINY_LESSON | {"SHAMMAH_LEARNING__AUTO_ROLLBACK": "true"})
    with daemon.client as client:
        assert client.status().waiting == 0
        corrected_again(client, 0)
        said = corrected_again(client, 1)
        assert "Version 1 was taken back: 2 lessons" in said
        assert said.endswith(f"Version 0 of {client.status().base} answers now.")
        status = client.status()
        assert (status.active_version, status.proposal) == (0, None)
        assert status.waiting == 5  # what it was taught, and the two corrections
