"""Sessions under a real daemon: recorded as answers come, and erased with their last byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from shammah.client import Client
from shammah.errors import NotFound
from shammah.records import Level
from tests.asking import assistant, text_of, user
from tests.running import TINY, Daemon, furnish, home_in


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, tiny_ground: Path) -> Iterator[Daemon]:
    paths = home_in(tmp_path_factory.mktemp("home"))
    furnish(paths, tiny_ground, TINY)
    daemon = Daemon(paths)
    daemon.start()
    yield daemon
    daemon.stop()


def files_with(daemon: Daemon, part: bytes) -> list[str]:
    return [
        file.name
        for file in daemon.paths.data_dir.rglob("*")
        if file.is_file() and not file.is_relative_to(daemon.paths.bases)
        if part in file.read_bytes()
    ]


def test_answers_are_recorded_in_their_session_streamed_or_not(client: Client) -> None:
    session = client.begin_session().id
    first = client.chat(user("one thing"), max_tokens=4, session=session)
    history = [*user("one thing"), assistant(text_of(first)), *user("another thing")]
    second = [*client.chat_stream(history, max_tokens=4, session=session)]
    client.chat(user("elsewhere"), max_tokens=4)
    said = client.session(session).said
    assert [(one.id, one.question) for one in said] == [
        (first.id, "one thing"),
        (second[0].id, "another thing"),
    ]
    assert said[0].answer == text_of(first)


def test_one_is_found_named_forked_and_cut_short(client: Client) -> None:
    session = client.begin_session().id
    for question in ("where is the lantern", "who lit it"):
        client.chat(user(question), max_tokens=4, session=session)
    assert client.sessions("lant")[0].id == session
    assert "lantern" in client.sessions("lant")[0].found
    assert client.rename_session(session, " lights ").name == "lights"
    assert client.rename_session(session, None).name is None
    fork = client.fork_session(session, 1)
    assert (fork.exchanges, fork.opening) == (1, "where is the lantern")
    client.take_back(session, client.session(session).said[1].id)
    assert client.sessions("who lit") == []
    assert [one.id for one in client.sessions(limit=1)] == [max(session, fork.id)]


def test_what_is_not_there_is_said(client: Client) -> None:
    for ask in (
        lambda: client.session(99),
        lambda: client.fork_session(99),
        lambda: client.rename_session(99, "x"),
        lambda: client.delete_session(99),
        lambda: client.chat(user(), session=99),
        lambda: next(client.chat_stream(user(), session=99)),
    ):
        with pytest.raises(NotFound, match="no session 99"):
            ask()
    with pytest.raises(NotFound, match="no answer 'nothing'"):
        client.take_back(client.begin_session().id, "nothing")


@pytest.mark.parametrize("query", ['"', "*", "a AND", "NEAR(", "-", "question:x", "\x00"])
def test_no_search_is_a_syntax_error(http: httpx.Client, query: str) -> None:
    assert http.get("/api/sessions", params={"search": query}).status_code == 200


def test_deleted_for_good_leaves_no_byte_not_even_of_an_answer_under_way(
    daemon: Daemon, client: Client
) -> None:
    session = client.begin_session().id
    asked = client.chat(user("where does the quillfeather sleep"), max_tokens=4, session=session)
    history = [*user("where does the quillfeather sleep"), assistant("there"), *user()]
    other = client.chat(history, max_tokens=4, session=session)
    marked = client.feedback(Level.CRITICAL, other.id, correction="because we agree")
    client.rename_session(session, "the quillfeather")
    daemon.paths.history.write_text(
        "\n# 2026-01-01 10:00\n+where does the quillfeather sleep\n"
        "\n# 2026-01-01 10:00\n+something else\n"
    )
    with daemon.client as second:
        stream = second.chat_stream(history, max_tokens=60, session=session)
        under_way = next(stream).id
        receipt = client.delete_session(session)
        list(stream)
    assert receipt.examples == [marked.example_id]
    assert f"example {marked.example_id} (/forget ID)" in receipt.message
    assert files_with(daemon, b"quillfeath") == []
    assert daemon.paths.history.read_text() == "\n# 2026-01-01 10:00\n+something else\n"
    for gone in (asked.id, under_way):
        with pytest.raises(NotFound):
            client.why(gone)
    assert client.example(marked.example_id).target == "because we agree"
