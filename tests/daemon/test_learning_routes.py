"""Feedback, examples and bases over the socket of a real daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from shammah.client import Client
from shammah.errors import Conflict, NotFound, ShammahError, UsageError
from shammah.records import ExampleStatus, Level, Message
from tests.asking import QUESTION, SMALL_CONTEXT, answered, assistant, chunks, text_of, user
from tests.conftest import StartDaemon
from tests.running import TINY, Daemon, serving_tiny


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, tiny_ground: Path) -> Iterator[Daemon]:
    with serving_tiny(tmp_path_factory.mktemp("learning"), tiny_ground) as daemon:
        yield daemon


@pytest.fixture
def daemon(shared: Daemon) -> Iterator[Daemon]:
    """One for all tests; each begins without examples."""
    yield shared
    with shared.client as client:
        for example in client.examples():
            client.forget(example.id)


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory, tiny_ground: Path) -> Iterator[Client]:
    """Of a daemon that has not answered anybody yet."""
    with (
        serving_tiny(tmp_path_factory.mktemp("new"), tiny_ground) as daemon,
        daemon.client as client,
    ):
        yield client


def test_a_client_that_leaves_stops_the_engine_and_the_part_is_kept(client: Client) -> None:
    stream = client.chat_stream(user(), max_tokens=1500)
    part = [next(stream) for _ in range(5)]
    stream.close()
    receipt = client.feedback(Level.CRITICAL, part[0].id, correction="7443")
    assert receipt.inference_id == part[0].id
    kept = client.example(receipt.example_id).rejected or ""
    assert kept.startswith("".join(chunk.text for chunk in part).strip())
    assert client.status().engine.active_requests == 0


def test_feedback_is_recorded_and_says_what_is_missing(client: Client) -> None:
    completion = answered(client)
    receipt = client.feedback(Level.MEDIUM, completion.id, note="wrong port")
    assert (receipt.weight, receipt.status) == (3, ExampleStatus.DRAFT)
    assert (receipt.waiting, receipt.missing) == (0, 10)
    fixed = client.fix("It listens on port 7443.")
    assert (fixed.example_id, fixed.status) == (receipt.example_id, ExampleStatus.READY)
    assert (fixed.waiting, fixed.missing) == (1, 9)
    assert "9 more examples" in fixed.message
    example = client.example(receipt.example_id)
    assert example.question == QUESTION
    assert example.target == "It listens on port 7443."
    assert example.rejected == text_of(completion).strip()
    assert example.note == "wrong port"


def test_good_feedback_takes_the_answer_itself(client: Client) -> None:
    noise = text_of(answered(client))
    completion = client.chat(user(), max_tokens=6, stop=noise[-3:])  # it ends by itself
    receipt = client.feedback(Level.GOOD)
    assert (receipt.weight, receipt.status) == (1, ExampleStatus.READY)
    assert receipt.target == text_of(completion).strip()


def test_an_answer_that_was_cut_off_cannot_be_marked_good(client: Client) -> None:
    answered(client)
    with pytest.raises(UsageError, match="cut off"):
        client.feedback(Level.GOOD)
    assert client.examples() == []


@pytest.mark.parametrize("correction", ["", " \n "])
def test_an_empty_correction_is_refused_and_nothing_is_recorded(
    client: Client, correction: str
) -> None:
    completion = answered(client)
    with pytest.raises(UsageError, match="correction is empty"):
        client.feedback(Level.CRITICAL, completion.id, correction=correction)
    assert client.examples() == []
    client.feedback(Level.CRITICAL, completion.id)
    with pytest.raises(UsageError, match="correction is empty"):
        client.fix(correction)
    assert [example.status for example in client.examples()] == [ExampleStatus.DRAFT]


def test_a_correction_equal_to_the_answer_is_refused(client: Client) -> None:
    completion = answered(client)
    with pytest.raises(UsageError, match="same as the answer"):
        client.feedback(Level.CRITICAL, completion.id, correction=text_of(completion))


def test_a_target_longer_than_the_context_is_refused(start_daemon: StartDaemon) -> None:
    with start_daemon(SMALL_CONTEXT).client as client:
        answered(client)
        with pytest.raises(UsageError, match=r"the correction takes \d+ tokens"):
            client.feedback(Level.CRITICAL, correction="word " * 300)
        assert client.examples() == []


def test_feedback_before_any_answer_says_so(newcomer: Client) -> None:
    with pytest.raises(NotFound, match="no answer yet"):
        newcomer.feedback(Level.CRITICAL)
    with pytest.raises(NotFound, match="no feedback yet"):
        newcomer.fix("It listens on port 7443.")


def test_unknown_ids_are_named(client: Client) -> None:
    with pytest.raises(NotFound, match="chatcmpl-none"):
        client.feedback(Level.GOOD, "chatcmpl-none")
    for ask in (client.example, client.forget, client.draft):
        with pytest.raises(NotFound, match="77"):
            ask(77)
    with pytest.raises(NotFound, match="77"):
        client.fix("It listens on port 7443.", 77)
    for ask_job in (client.job, client.cancel_job):
        with pytest.raises(NotFound, match="77"):
            ask_job(77)
    with pytest.raises(NotFound, match="77"):
        list(client.job_events(77))
    with pytest.raises(NotFound, match="77"):
        client.version(77)
    with pytest.raises(NotFound, match="77"):
        client.rollback(77)
    with pytest.raises(NotFound, match="nothing"):
        client.use_base("nothing")
    with pytest.raises(NotFound, match="nothing"):
        client.remove_base("nothing")


def test_nothing_to_teach_and_nothing_to_roll_back_are_said(newcomer: Client) -> None:
    with pytest.raises(Conflict, match="nothing to teach"):
        newcomer.train()
    with pytest.raises(Conflict, match="nothing was active before"):
        newcomer.rollback()


def test_a_forgotten_example_no_longer_waits(client: Client) -> None:
    answered(client)
    receipt = client.feedback(Level.CRITICAL, correction="It listens on port 7443.")
    client.forget(receipt.example_id)
    assert client.status().waiting == 0
    with pytest.raises(Conflict, match="forgotten"):
        client.fix("Port 7444.", receipt.example_id)


@pytest.mark.parametrize("stream", [False, True])
def test_any_client_can_correct_inside_the_chat(
    http: httpx.Client, client: Client, stream: bool
) -> None:
    older = answered(client)
    history = [*user(), assistant(text_of(older))]
    answered(client, "And something else?")  # the newest answer is not the one that is meant
    body = {"model": "shammah", "messages": [*history, *user("/critical wrong port")]}
    if stream:
        first, last = chunks(http, **body)
        text = first["choices"][0]["delta"]["content"]
        assert last["choices"][0]["finish_reason"] == "stop"
        receipt = last["shammah"]["feedback"]
    else:
        data = http.post("/v1/chat/completions", json=body).json()
        text = data["choices"][0]["message"]["content"]
        receipt = data["shammah"]["feedback"]
    assert receipt["inference_id"] == older.id
    assert "Recorded as critical (weight 10)" in text
    fix = [*history, *user("/critical"), assistant(text), *user("/fix Port 7443.")]
    http.post("/v1/chat/completions", json={"model": "shammah", "messages": fix})
    [example] = client.examples()
    assert (example.status, example.target) == (ExampleStatus.READY, "Port 7443.")


def told(http: httpx.Client, conversation: list[Message], command: str) -> httpx.Response:
    """What any client hears of a command behind a conversation."""
    return http.post("/v1/chat/completions", json={"messages": [*conversation, *user(command)]})


def test_each_client_corrects_the_answer_that_it_was_given(
    http: httpx.Client, client: Client
) -> None:
    questions = ("Who feeds the cats?", "When do we release?")
    conversations = [
        [*user(question), assistant(text_of(answered(client, question)))] for question in questions
    ]
    for conversation in conversations:  # the second one's mark is the newest
        said = told(http, conversation, "/critical").json()["choices"][0]["message"]["content"]
        conversation += [*user("/critical"), assistant(said)]
    told(http, conversations[0], "/fix Mrs. Okonjo does.")
    targets = {example.question: example.target for example in client.examples()}
    assert targets == {questions[0]: "Mrs. Okonjo does.", questions[1]: None}


@pytest.mark.parametrize("command", ["/critical", "/fix Mrs. Okonjo does."])
def test_a_command_about_an_unknown_answer_is_not_about_another(
    http: httpx.Client, client: Client, command: str
) -> None:
    newest = answered(client)
    client.feedback(Level.CRITICAL, newest.id)
    before = client.examples()
    refused = told(http, [*user(), assistant("Another program's words.")], command)
    assert refused.status_code == 404
    assert "not known here" in refused.json()["error"]["message"]
    assert client.examples() == before


def test_an_answer_that_is_fixed_needs_no_mark(http: httpx.Client, client: Client) -> None:
    client.feedback(Level.CRITICAL, answered(client, "Who feeds the cats?").id)
    unmarked = [*user(), assistant(text_of(answered(client)))]
    assert told(http, unmarked, "/fix Port 7443.").status_code == 200
    fixed, marked = client.examples()
    assert (fixed.level, fixed.status, fixed.target) == (
        Level.MEDIUM, ExampleStatus.READY, "Port 7443.",
    )  # fmt: skip
    assert (marked.level, marked.target) == (Level.CRITICAL, None)
    told(http, unmarked, "/fix Port 7444.")  # the same example: of the same level
    assert [example.target for example in client.examples()] == ["Port 7444.", None]


def test_a_correction_that_cannot_be_taught_marks_nothing(
    http: httpx.Client, client: Client
) -> None:
    words = text_of(answered(client))
    for correction in ("", words):
        assert told(http, [*user(), assistant(words)], f"/fix {correction}").status_code == 400
    assert client.examples() == []


def test_a_bad_command_inside_a_chat_is_an_error(newcomer: Client) -> None:
    with pytest.raises(NotFound):
        newcomer.chat(user("/fix Port 7443."))


def test_no_word_of_a_chat_reaches_the_log(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    with daemon.client as client:
        answered(client, "Do you know Rumpelstiltskin?")
        client.feedback(Level.CRITICAL, note="Rumpelnote", correction="Rumpelcorrection")
        with pytest.raises(ShammahError):
            client.feedback(Level.CRITICAL, "Rumpelid")
    daemon.stop()
    for file in daemon.paths.logs.iterdir():
        assert "Rumpel" not in file.read_text()


# bases


def test_a_base_can_be_added_used_and_removed(
    client: Client, other_tiny_base: Path, tiny_base: Path
) -> None:
    before = text_of(answered(client))
    added = client.add_base(other_tiny_base, "other", None)
    assert (added.name, added.architecture, added.active) == ("other", "llama", False)
    with pytest.raises(Conflict, match="other"):
        client.add_base(tiny_base, "other", None)
    assert client.use_base("other").active
    changed = answered(client)
    assert changed.shammah.base == "other"
    assert text_of(changed) != before
    with pytest.raises(Conflict, match="in use"):
        client.remove_base("other")
    client.use_base(TINY)
    assert text_of(answered(client)) == before


def test_a_base_with_a_bad_name_is_refused(client: Client, other_tiny_base: Path) -> None:
    with pytest.raises(UsageError, match="cannot be called"):
        client.add_base(other_tiny_base, "../escape", None)
