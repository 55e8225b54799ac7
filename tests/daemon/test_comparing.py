"""Two versions answer side by side under a real daemon, and votes are kept."""

from __future__ import annotations

import pytest

from shammah.client import Client
from shammah.errors import Conflict, NotFound, UsageError
from shammah.protocol import VotesView
from shammah.records import JobState, Level, Preference
from tests.asking import text_of, user
from tests.conftest import StartDaemon
from tests.running import TINY, TINY_LESSON, Daemon

QUESTION = "what do we do"
TARGET = "yes we agree indeed"


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> Daemon:
    return start_daemon(TINY_LESSON | {"SHAMMAH_CHAT__MAX_TOKENS": "30"})


def taught_once(client: Client) -> str:
    """Version 1 serves; returns what the base had answered."""
    before = text_of(client.chat(user(QUESTION)))
    client.feedback(Level.CRITICAL, correction=TARGET)
    job = client.train()
    for _ in client.job_events(job.id):
        pass
    assert client.job(job.id).state is JobState.PROMOTED
    return before


def test_the_version_before_and_the_active_one_answer_as_they_do_in_the_chat(
    daemon: Daemon, client: Client
) -> None:
    before = taught_once(client)
    found = client.compare(QUESTION)
    assert (found.first.version, found.first.base, found.first.text) == (0, TINY, before)
    assert (found.second.version, found.second.text) == (1, TARGET)
    turned = client.compare(QUESTION, 1, 0)
    assert (turned.first, turned.second) == (found.second, found.first)
    assert text_of(client.chat(user(QUESTION))) == TARGET


def test_votes_are_told_with_the_versions(client: Client) -> None:
    taught_once(client)
    client.vote(0, 1, Preference.SECOND)
    client.vote(1, 0, Preference.FIRST)
    client.vote(0, 1, Preference.TIE)
    client.vote(0, 1, Preference.FIRST)
    assert client.version(1).votes == VotesView(won=2, lost=1, tied=1)
    assert client.version(0).votes == VotesView(won=1, lost=2, tied=1)


def test_what_cannot_be_compared_is_said(client: Client) -> None:
    with pytest.raises(Conflict, match="nothing was active before"):
        client.compare(QUESTION)
    with pytest.raises(UsageError, match="version 0 cannot be compared with itself"):
        client.compare(QUESTION, 0, 0)
    with pytest.raises(NotFound, match="no version 7"):
        client.compare(QUESTION, 0, 7)
