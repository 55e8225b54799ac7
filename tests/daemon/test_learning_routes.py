"""Feedback, examples and bases over the socket of a real daemon."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from shammah.client import Client
from shammah.errors import Conflict, NotFound, ShammahError, UsageError
from shammah.records import ExampleStatus, Level
from tests.asking import QUESTION, SMALL_CONTEXT, answered, assistant, chunks, text_of, user
from tests.conftest import StartDaemon
from tests.running import TINY, Daemon


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


def test_feedback_before_any_answer_says_so(client: Client) -> None:
    with pytest.raises(NotFound, match="no answer yet"):
        client.feedback(Level.CRITICAL)
    with pytest.raises(NotFound, match="no feedback yet"):
        client.fix("It listens on port 7443.")


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


def test_nothing_to_teach_and_nothing_to_roll_back_are_said(client: Client) -> None:
    with pytest.raises(Conflict, match="nothing to teach"):
        client.train()
    with pytest.raises(Conflict, match="nothing was active before"):
        client.rollback()


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


def test_a_bad_command_inside_a_chat_is_an_error(client: Client) -> None:
    with pytest.raises(NotFound):
        client.chat(user("/fix Port 7443."))


def test_no_word_of_a_chat_reaches_the_log(daemon: Daemon, client: Client) -> None:
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
