"""Raw completions and embeddings over the socket of a real daemon."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.asking import SMALL_CONTEXT, events, user
from tests.running import Daemon, serving_tiny

PROMPT = "def fibonacci(n):"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, tiny_ground: Path) -> Iterator[Daemon]:
    with serving_tiny(tmp_path_factory.mktemp("text"), tiny_ground, SMALL_CONTEXT) as daemon:
        yield daemon


def complete(http: httpx.Client, **body: Any) -> dict[str, Any]:
    response = http.post("/v1/completions", json={"model": "shammah", "prompt": PROMPT, **body})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def embed(http: httpx.Client, **body: Any) -> httpx.Response:
    return http.post("/v1/embeddings", json={"model": "shammah", **body})


def test_a_text_goes_on_without_a_template(http: httpx.Client) -> None:
    found = complete(http, max_tokens=7)
    assert found["object"] == "text_completion"
    assert found["choices"][0]["finish_reason"] == "length"
    assert found["usage"]["completion_tokens"] == 7
    assert found["usage"]["prompt_tokens"] < 10  # a template would have added more
    assert complete(http, prompt=[PROMPT], max_tokens=7)["choices"] == found["choices"]


def test_a_short_answer_is_the_default(http: httpx.Client) -> None:
    assert complete(http)["usage"]["completion_tokens"] == 16


def test_a_streamed_text_says_the_same(http: httpx.Client) -> None:
    whole = complete(http, max_tokens=7)
    body = {"prompt": PROMPT, "max_tokens": 7, "stream_options": {"include_usage": True}}
    *chunks, usage = events(http, "/v1/completions", **body)
    assert "".join(c["choices"][0]["text"] for c in chunks) == whole["choices"][0]["text"]
    assert [c["choices"][0]["finish_reason"] for c in chunks][-2:] == [None, "length"]
    assert usage["choices"] == []
    assert usage["usage"] == whole["usage"]
    assert {c["id"] for c in chunks} == {usage["id"]}


def test_a_raw_text_is_no_turn(http: httpx.Client) -> None:
    found = complete(http, max_tokens=2)
    body = {"inference_id": found["id"], "level": "good"}
    assert http.post("/v1/feedback", json=body).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": ""},
        {"prompt": ["a", "b"]},
        {"prompt": [1, 2, 3]},
        {"n": 2},
        {"best_of": 3},
        {"echo": True},
        {"suffix": "end"},
        {"logprobs": 2},
        {"prompt": "word " * 400},
        {"stop": list("abcde")},
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_done_is_refused(
    http: httpx.Client, body: dict[str, Any], stream: bool
) -> None:
    whole = {"model": "shammah", "prompt": PROMPT, "stream": stream, **body}
    response = http.post("/v1/completions", json=whole)
    assert response.status_code == 400
    assert response.json()["error"]["message"]


def test_embeddings_come_as_numbers_or_as_base64(http: httpx.Client) -> None:
    found = embed(http, input=["Rain falls.", "Two plus two."]).json()
    assert [item["index"] for item in found["data"]] == [0, 1]
    assert found["usage"]["prompt_tokens"] > 4
    [first, second] = [item["embedding"] for item in found["data"]]
    assert math.hypot(*first) == pytest.approx(1)
    assert first != pytest.approx(second, abs=0.01)
    encoded = embed(http, input="Rain falls.", encoding_format="base64").json()
    data = base64.b64decode(encoded["data"][0]["embedding"])
    assert struct.unpack(f"<{len(first)}f", data) == pytest.approx(first, abs=1e-5)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"input": ""}, None),
        ({"input": []}, None),
        ({"input": [1, 2]}, None),
        ({"input": "a", "dimensions": 2}, None),
        ({"input": ["a", "word " * 600]}, "context_length_exceeded"),
    ],
)
def test_what_has_no_embedding_is_refused(
    http: httpx.Client, body: dict[str, Any], code: str | None
) -> None:
    response = embed(http, **body)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == code


def test_chat_goes_on_after_refusals(http: httpx.Client) -> None:
    body = {"model": "shammah", "messages": user(), "max_tokens": 2}
    assert http.post("/v1/chat/completions", json=body).status_code == 200
