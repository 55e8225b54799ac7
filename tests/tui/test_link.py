"""The link to a daemon that is not there, or refuses."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from textual.message import Message

from shammah.client import Client
from shammah.errors import DiskFull
from shammah.protocol import Status
from shammah_tui.link import Link
from shammah_tui.messages import FetchFailed, InboxFetched, RequestRefused
from tests.tui.conftest import PATIENCE_SECONDS


class Full(Client):
    """Before a daemon whose disk is full."""

    def status(self) -> Status:
        raise DiskFull("the disk is full")


def fetched(connect: Callable[[], Client], question: Callable[[Client], Message]) -> list[Message]:
    """What is replied to one question, asked twice; then the refusals that are news."""
    news: list[Message] = []
    replies: list[Message] = []
    both = threading.Event()

    def reply(message: Message) -> None:
        replies.append(message)
        if len(replies) == 2:
            both.set()

    link = Link(connect, news.append, lambda take, message: take(message), read_only=False)
    link.fetch(question, reply)
    link.fetch(question, reply)
    link.open()
    try:
        assert both.wait(PATIENCE_SECONDS)
    finally:
        link.close()
    return replies + [message for message in news if isinstance(message, RequestRefused)]


def test_a_question_without_a_daemon_is_replied_to(tmp_path: Path) -> None:
    found = fetched(
        lambda: Client(tmp_path / "nowhere"), lambda client: InboxFetched(client.inbox())
    )
    assert [type(message) for message in found] == [FetchFailed, FetchFailed]


def test_the_same_failure_is_told_once(tmp_path: Path) -> None:
    def question(client: Client) -> Message:
        client.status()
        raise AssertionError

    found = fetched(lambda: Full(tmp_path / "nowhere"), question)
    assert [type(message) for message in found] == [FetchFailed, FetchFailed, RequestRefused]
