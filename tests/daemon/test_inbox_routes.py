"""The inbox over the socket of a real daemon: what waits, and the user's word on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shammah.client import Client
from shammah.errors import Conflict, NotFound, UsageError
from shammah.protocol import FeedbackReceipt
from shammah.records import ExampleStatus, Level
from tests.asking import answered
from tests.conftest import StartDaemon
from tests.running import Daemon, serving_tiny

QUESTION = "Which port does the admin API listen on?"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, tiny_ground: Path) -> Iterator[Daemon]:
    with serving_tiny(tmp_path_factory.mktemp("inbox"), tiny_ground) as daemon:
        yield daemon


@pytest.fixture
def daemon(shared: Daemon) -> Iterator[Daemon]:
    """One for all tests; each begins without examples."""
    yield shared
    with shared.client as client:
        for example in client.examples():
            client.forget(example.id)


def corrected(client: Client, question: str, target: str) -> FeedbackReceipt:
    return client.feedback(Level.CRITICAL, answered(client, question).id, correction=target)


def kinds(client: Client) -> list[str]:
    return [item.kind for item in client.inbox()]


def test_an_empty_inbox_is_empty(client: Client) -> None:
    assert client.inbox() == []
    assert client.status().inbox == {}


def test_a_draft_waits_until_it_is_completed_or_discarded(client: Client) -> None:
    drafts = [
        client.feedback(Level.MEDIUM, answered(client, question).id).example_id
        for question in ("one thing", "another thing")
    ]
    assert [item.example.id for item in client.inbox()] == drafts
    assert client.status().inbox == {"draft": 2}
    assert client.discard(drafts[0]).status is ExampleStatus.DISCARDED
    client.fix("It is so.", drafts[1])
    assert client.inbox() == []
    with pytest.raises(Conflict, match="only a draft"):
        client.discard(drafts[1])


def test_two_answers_to_one_question_are_pointed_out_and_the_newer_supersedes(
    client: Client,
) -> None:
    older = corrected(client, QUESTION, "It listens on port 7443.")
    newer = corrected(client, "which port does admin API listen on", "It listens on port 7444.")
    assert newer.contradicts == [older.example_id]
    assert f"It contradicts example {older.example_id}: /review" in newer.message
    [item] = client.inbox()
    assert (item.kind, item.example.id) == ("contradiction", newer.example_id)
    assert item.older is not None
    assert item.older.id == older.example_id
    assert client.status().inbox == {"contradiction": 1}
    assert client.status().waiting == 2  # nothing is decided without the user

    client.settle(older.example_id, newer.example_id, newer.example_id)
    assert client.inbox() == []
    assert client.status().waiting == 1
    kept = client.example(older.example_id)
    assert (kept.status, kept.superseded_by) == (ExampleStatus.SUPERSEDED, newer.example_id)
    assert [example.id for example in client.examples()] == [newer.example_id]


def test_two_that_say_the_same_are_duplicates_and_may_both_stay(client: Client) -> None:
    older = corrected(client, QUESTION, "It listens on port 7443.")
    newer = corrected(client, QUESTION, "it listens on port 7443")
    assert newer.duplicates == [older.example_id]
    assert kinds(client) == ["duplicate"]
    client.settle(newer.example_id, older.example_id, None)
    assert kinds(client) == []
    assert client.status().waiting == 2


def test_a_word_on_two_that_do_not_wait_is_refused(client: Client) -> None:
    with pytest.raises(NotFound, match="7 and 8 do not wait"):
        client.settle(7, 8, None)
    with pytest.raises(UsageError, match="9 is not one of the two"):
        client.settle(7, 8, 9)


def test_a_likely_secret_is_held_until_the_user_allows_it(client: Client) -> None:
    receipt = corrected(client, "And the wifi?", "The wifi password is Blue-Heron-42.")
    assert receipt.status is ExampleStatus.HELD
    assert receipt.secrets == ["password"]
    assert "It may hold a secret (password): it is taught only after you allow it" in (
        receipt.message
    )
    assert client.status().waiting == 0
    with pytest.raises(Conflict, match="nothing to teach"):
        client.train()
    [item] = client.inbox()
    assert (item.kind, item.secrets) == ("secret", ["password"])
    allowed = client.allow(receipt.example_id)
    assert (allowed.status, allowed.waiting) == (ExampleStatus.READY, 1)
    assert client.inbox() == []
    with pytest.raises(Conflict, match="nothing to allow"):
        client.allow(receipt.example_id)


def test_a_held_example_may_be_edited_instead(client: Client) -> None:
    receipt = corrected(client, "And the wifi?", "The wifi password is Blue-Heron-42.")
    edited = client.fix("The wifi password is on the fridge.", receipt.example_id)
    assert (edited.status, edited.secrets) == (ExampleStatus.READY, [])
    held = client.fix("The wifi password is Blue-Heron-43.", receipt.example_id)
    assert held.status is ExampleStatus.HELD


def test_a_held_example_does_not_start_a_lesson(start_daemon: StartDaemon) -> None:
    with start_daemon({"SHAMMAH_LEARNING__THRESHOLD_EXAMPLES": "1"}).client as client:
        receipt = corrected(client, "And the wifi?", "The wifi password is Blue-Heron-42.")
        assert (receipt.job_id, client.jobs()) == (None, [])
        job_id = client.allow(receipt.example_id).job_id
        assert job_id is not None
        client.cancel_job(job_id)
