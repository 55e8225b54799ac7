"""A correction helps from the next question on, in a real daemon, before any lesson."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from shammah.client import Client
from shammah.errors import NotFound
from shammah.records import ExampleStatus, Level, Message
from shammah.store.database import Store
from tests.asking import QUESTION, SMALL_CONTEXT, answered, assistant, user
from tests.conftest import StartDaemon
from tests.running import TINY, Daemon, serving_tiny

TARGET = "The admin API listens on port 7443."
REWORDED = "Tell me which port the admin API listens on."


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, tiny_ground: Path) -> Iterator[Daemon]:
    with serving_tiny(tmp_path_factory.mktemp("injection"), tiny_ground) as daemon:
        yield daemon


@pytest.fixture
def daemon(shared: Daemon) -> Iterator[Daemon]:
    """One for all tests; each begins without examples."""
    yield shared
    with shared.client as client:
        for example in client.examples():
            client.forget(example.id)


def correct(client: Client, target: str = TARGET) -> int:
    """The id of the example."""
    answered(client)
    return client.feedback(Level.CRITICAL, correction=target).example_id


@pytest.mark.parametrize("question", [QUESTION, REWORDED])
def test_the_next_question_gets_the_correction_into_its_context(
    client: Client, question: str
) -> None:
    before = answered(client, question)
    example_id = correct(client)
    after = answered(client, question)
    assert (before.shammah.injected, after.shammah.injected) == ([], [example_id])
    assert after.usage.prompt_tokens > before.usage.prompt_tokens
    streamed = client.chat_stream(user(question), max_tokens=4)
    assert [chunk.info.injected for chunk in streamed if chunk.info] == [[example_id]]


def test_why_names_the_version_and_the_correction(client: Client) -> None:
    example_id = correct(client)
    helped = answered(client, REWORDED)
    answered(client, "What else is there?")
    why = client.why(helped.id)
    assert (why.id, why.base, why.version, why.question) == (helped.id, TINY, 0, REWORDED)
    assert [(one.id, one.target) for one in why.injected] == [(example_id, TARGET)]
    assert client.why().question == "What else is there?"
    assert client.why().injected == []


def test_why_without_such_an_answer_says_so(start_daemon: StartDaemon) -> None:
    with start_daemon().client as client:
        with pytest.raises(NotFound, match="no answer yet"):
            client.why()
        with pytest.raises(NotFound, match="chatcmpl-none"):
            client.why("chatcmpl-none")


def test_the_record_of_the_turn_holds_the_users_own_messages_only(
    start_daemon: StartDaemon,
) -> None:
    daemon = start_daemon()
    with daemon.client as client:
        correct(client)
        helped = answered(client, REWORDED)
        receipt = client.feedback(Level.CRITICAL, helped.id, correction="Port 7444.")
        assert client.example(receipt.example_id).messages == user(REWORDED)
    daemon.stop()
    with closing(Store.open(daemon.paths.database)) as store:
        assert store.turns.get(helped.id).messages == user(REWORDED)


def test_another_question_gets_nothing(client: Client) -> None:
    correct(client)
    for question in ("Which port does the web API listen on?", "What is a port?", "Thanks!"):
        assert answered(client, question).shammah.injected == []


def test_only_ready_examples_are_injected_and_with_their_present_target(client: Client) -> None:
    answered(client)
    draft = client.feedback(Level.CRITICAL)
    assert draft.status is ExampleStatus.DRAFT
    assert answered(client).shammah.injected == []
    client.fix(TARGET, draft.example_id)
    short = answered(client).usage.prompt_tokens
    client.fix(f"{TARGET} It asks for a client certificate.", draft.example_id)
    assert answered(client).usage.prompt_tokens > short
    client.forget(draft.example_id)
    assert answered(client).shammah.injected == []


def test_a_conversation_that_holds_the_correction_gets_it_once(client: Client) -> None:
    correct(client)
    history = [*user(), assistant(TARGET), *user(REWORDED)]
    assert client.chat(history, max_tokens=4).shammah.injected == []


def test_the_setting_turns_it_off(start_daemon: StartDaemon) -> None:
    with start_daemon({"SHAMMAH_LEARNING__INJECT": "false"}).client as client:
        correct(client)
        assert answered(client).shammah.injected == []


def test_a_correction_gives_way_to_the_question_but_history_to_the_correction(
    start_daemon: StartDaemon,
) -> None:
    with start_daemon(SMALL_CONTEXT).client as client:
        example_id = correct(client)
        history = [*user("old " * 160), assistant("Yes."), *user()]
        completion = client.chat(history, max_tokens=4)
        assert completion.shammah.injected == [example_id]
        assert completion.shammah.dropped_messages == 2
        client.fix("word " * 120, example_id)
        assert client.chat(user(), max_tokens=4).shammah.injected == []


def test_what_came_before_is_not_computed_again(client: Client) -> None:
    """The injected exchange stands behind the history, whose cells the engine still has."""
    correct(client)
    firsts, others = [], []
    for planet in ("Mars", "Venus", "Saturn", "Neptune", "Mercury"):
        history: list[Message] = [
            *user(f"{planet}: tell me about its moons. " * 80),
            assistant("They are far."),
        ]
        first = client.chat([*history, *user("And the sun?")], max_tokens=4)
        helped = client.chat([*history, *user()], max_tokens=4)
        assert helped.shammah.injected != []
        assert helped.shammah.dropped_messages == first.shammah.dropped_messages == 0
        firsts.append(first.shammah.first_token_seconds or 0.0)
        others.append(helped.shammah.first_token_seconds or 0.0)
    assert min(others) < min(firsts)


def test_the_log_holds_no_word_of_it(daemon: Daemon, client: Client) -> None:
    correct(client)
    assert answered(client, REWORDED).shammah.injected
    text = daemon.paths.log_file.read_text() + daemon.said()
    assert "admin" not in text
    assert "7443" not in text
