"""Models by name: what serves, the base, and every version, each with its own weights."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from shammah.client import Client
from shammah.errors import ModelNotFound
from shammah.protocol import ChatCompletion
from shammah.records import Level
from tests.asking import QUESTION, answered, assistant, text_of, user
from tests.running import TINY, Daemon, furnish, home_in, running, wait_for
from tests.tiny import tiny_gguf
from tests.versions import promote

IDLE_SECONDS = 2


@pytest.fixture(scope="module")
def daemon(
    tmp_path_factory: pytest.TempPathFactory, tiny_ground: Path, other_tiny_base: Path
) -> Iterator[Daemon]:
    """Version 2 serves, and version 1 and the base have other weights."""
    paths = home_in(tmp_path_factory.mktemp("versions"))
    furnish(paths, tiny_ground, TINY)
    promote(paths, [other_tiny_base, tiny_gguf("llama", tmp_path_factory.mktemp("third"), seed=2)])
    with running(paths, {"SHAMMAH_ENGINE__SECOND_IDLE_SECONDS": str(IDLE_SECONDS)}) as daemon:
        yield daemon


def asked(client: Client, model: str, question: str = QUESTION) -> ChatCompletion:
    return client.chat(user(question), max_tokens=8, model=model)


def test_every_model_that_can_be_named_is_listed(http: httpx.Client) -> None:
    data = http.get("/v1/models").json()
    names = [card["id"] for card in data["data"]]
    assert names == ["shammah", "base", "shammah@2", "shammah@1"]
    for name in names:
        assert http.get(f"/v1/models/{name}").json() == data["data"][names.index(name)]


@pytest.mark.parametrize("name", ["shammah@3", "shammah@0", "shammah@02", "gpt-4o", "@", "base@1"])
def test_an_unknown_model_is_said_in_openais_shape(http: httpx.Client, name: str) -> None:
    body = {"model": name, "messages": user(), "prompt": "a", "input": "a"}
    answers = [
        http.get(f"/v1/models/{name}"),
        *(http.post(f"/v1/{kind}", json=body) for kind in ("completions", "embeddings")),
        http.post("/v1/chat/completions", json=body),
        http.post("/v1/chat/completions", json=body | {"stream": True}),
        http.post("/v1/chat/completions", json=body | {"messages": user("/good")}),
    ]
    for answer in answers:
        assert answer.status_code == 404
        error = answer.json()["error"]
        assert (error["code"], error["type"]) == ("model_not_found", "ModelNotFound")


def test_each_model_answers_with_its_own_weights(client: Client, daemon: Daemon) -> None:
    found = {name: asked(client, name) for name in ("shammah", "base", "shammah@1", "shammah@2")}
    texts = {name: text_of(completion) for name, completion in found.items()}
    assert texts["shammah@2"] == texts["shammah"]
    assert len(set(texts.values())) == 3
    assert [c.shammah.version for c in found.values()] == [2, 0, 1, 2]
    assert [c.model for c in found.values()] == list(found)
    assert len(daemon.children("shammah.engine")) == 2


def test_a_version_answers_as_it_does_when_it_serves(client: Client) -> None:
    named = text_of(asked(client, "shammah@1"))
    client.rollback(1)
    try:
        assert text_of(answered(client, max_tokens=8)) == named
    finally:
        client.rollback(2)


def test_requests_for_different_versions_at_once_get_each_its_own(client: Client) -> None:
    names = ["base", "shammah@1", "shammah"] * 4
    alone = {name: text_of(asked(client, name)) for name in set(names)}
    with ThreadPoolExecutor(len(names)) as pool:
        found = list(pool.map(lambda name: text_of(asked(client, name)), names))
    assert found == [alone[name] for name in names]


def test_feedback_reaches_the_answer_of_a_version(client: Client) -> None:
    completion = asked(client, "shammah@1", "Who answers this?")
    assert client.why(completion.id).version == 1
    receipt = client.feedback(Level.CRITICAL, completion.id, correction="Version one.")
    assert receipt.inference_id == completion.id
    conversation = [*user("Who answers this?"), assistant(text_of(completion)), *user("/medium")]
    marked = client.chat(conversation, model="shammah@1")
    assert marked.id == completion.id
    assert marked.shammah.feedback is not None
    # A correction helps whatever serves; a version that is named answers by itself.
    assert asked(client, "shammah", "Who answers this?").shammah.injected
    assert text_of(asked(client, "shammah@1", "Who answers this?")) == text_of(completion)


def test_the_second_engine_ends_when_nobody_asks_it(client: Client, daemon: Daemon) -> None:
    asked(client, "base")
    assert len(daemon.children("shammah.engine")) == 2
    wait_for(lambda: len(daemon.children("shammah.engine")) == 1, IDLE_SECONDS + 20)
    assert text_of(asked(client, "base"))


def test_a_deleted_version_is_no_model_any_more(client: Client) -> None:
    assert text_of(asked(client, "shammah@1"))
    client.delete_version(1)
    with pytest.raises(ModelNotFound):
        asked(client, "shammah@1")
