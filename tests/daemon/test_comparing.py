"""Two versions answer side by side under a real daemon, and votes are kept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shammah.client import Client
from shammah.errors import Conflict, NotFound, UsageError
from shammah.protocol import VotesView
from shammah.records import Preference
from tests.asking import TARGET, case, text_of, user
from tests.conftest import StartDaemon
from tests.running import TINY, TINY_LESSON, Daemon, copy_home, home_in, running
from tests.versions import Taught

QUESTION = case(0)
SETTINGS = TINY_LESSON | {"SHAMMAH_CHAT__MAX_TOKENS": "30"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, taught_home: Taught) -> Iterator[Daemon]:
    """Version 1 serves."""
    paths = home_in(tmp_path_factory.mktemp("comparing"))
    copy_home(taught_home.home, paths)
    with running(paths, SETTINGS) as daemon:
        yield daemon


def test_the_version_before_and_the_active_one_answer_as_they_do_in_the_chat(
    taught_home: Taught, client: Client
) -> None:
    before = taught_home.before[0]
    found = client.compare(QUESTION)
    assert (found.first.version, found.first.base, found.first.text) == (0, TINY, before)
    assert (found.second.version, found.second.text) == (1, TARGET)
    turned = client.compare(QUESTION, 1, 0)
    assert (turned.first, turned.second) == (found.second, found.first)
    assert text_of(client.chat(user(QUESTION))) == TARGET


def test_votes_are_told_with_the_versions(client: Client) -> None:
    client.vote(0, 1, Preference.SECOND)
    client.vote(1, 0, Preference.FIRST)
    client.vote(0, 1, Preference.TIE)
    client.vote(0, 1, Preference.FIRST)
    assert client.version(1).votes == VotesView(won=2, lost=1, tied=1)
    assert client.version(0).votes == VotesView(won=1, lost=2, tied=1)


def test_what_cannot_be_compared_is_said(start_daemon: StartDaemon) -> None:
    with start_daemon(SETTINGS).client as client:
        with pytest.raises(Conflict, match="nothing was active before"):
            client.compare(QUESTION)
        with pytest.raises(UsageError, match="version 0 cannot be compared with itself"):
            client.compare(QUESTION, 0, 0)
        with pytest.raises(NotFound, match="no version 7"):
            client.compare(QUESTION, 0, 7)
