"""Chat in OpenAI's shape over the socket of a real daemon, and how it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from shammah.client import Client
from shammah.errors import BaseModelError, PromptTooLong, UsageError
from tests.asking import QUESTION, SMALL_CONTEXT, answered, assistant, chunks, text_of, user
from tests.conftest import StartDaemon
from tests.running import TINY, Daemon, furnish, home_in

PICTURE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
GHOST = {"type": "json_schema", "json_schema": {"name": "g", "schema": {"type": "ghost"}}}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, tiny_ground: Path) -> Iterator[Daemon]:
    paths = home_in(tmp_path_factory.mktemp("shared"))
    furnish(paths, tiny_ground, TINY)
    daemon = Daemon(paths)
    daemon.start()
    yield daemon
    daemon.kill()


@pytest.fixture
def daemon(shared: Daemon) -> Daemon:
    """One for all: these tests leave nothing behind that another would see."""
    return shared


def test_a_completion_has_openais_fields(http: httpx.Client) -> None:
    body = {"model": "shammah", "messages": user(), "max_tokens": 5}
    response = http.post("/v1/chat/completions", json=body)
    data = response.json()
    assert response.status_code == 200
    assert data["object"] == "chat.completion"
    assert data["id"].startswith("chatcmpl-")
    assert data["model"] == "shammah"
    assert data["choices"][0]["index"] == 0
    assert data["choices"][0]["message"]["role"] == "assistant"
    assert data["choices"][0]["finish_reason"] == "length"
    usage = data["usage"]
    assert usage["completion_tokens"] == 5
    assert usage["total_tokens"] == usage["prompt_tokens"] + 5
    assert data["shammah"]["version"] == 0
    assert data["shammah"]["base"] == TINY


def test_a_stream_has_openais_chunks(http: httpx.Client) -> None:
    options = {"include_usage": True}
    first, *rest, usage = chunks(http, messages=user(), max_tokens=5, stream_options=options)
    assert first["object"] == "chat.completion.chunk"
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert {chunk["id"] for chunk in rest} == {first["id"]}
    assert all(set(chunk["choices"][0]["delta"]) <= {"content"} for chunk in rest)
    assert [chunk["choices"][0]["finish_reason"] for chunk in rest][-1] == "length"
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in rest[:-1])
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 5


def test_usage_comes_only_when_asked_for(http: httpx.Client) -> None:
    assert all(chunk["choices"] for chunk in chunks(http, messages=user(), max_tokens=3))


def test_a_stream_and_a_whole_answer_say_the_same(client: Client) -> None:
    whole = text_of(answered(client))
    streamed = "".join(chunk.text for chunk in client.chat_stream(user(), max_tokens=6))
    assert streamed == whole


def test_content_as_text_parts_is_joined(http: httpx.Client, client: Client) -> None:
    parts = [{"type": "text", "text": QUESTION[:10]}, {"type": "text", "text": QUESTION[10:]}]
    body = {
        "model": "shammah",
        "messages": [{"role": "user", "content": parts}],
        "max_completion_tokens": 6,
    }
    data = http.post("/v1/chat/completions", json=body).json()
    assert data["choices"][0]["message"]["content"] == text_of(answered(client))


def test_requests_at_the_same_time_are_all_answered(client: Client) -> None:
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda n: answered(client, f"{QUESTION} {n}"), range(12)))
    assert len({completion.id for completion in found}) == 12


@pytest.mark.parametrize("as_list", [False, True])
def test_a_stop_string_ends_the_answer_wherever_tokens_end(
    http: httpx.Client, client: Client, as_list: bool
) -> None:
    whole = text_of(answered(client, max_tokens=12))
    stop = whole[len(whole) // 2 :][:5]
    asked: Any = ["never said", stop] if as_list else stop
    streamed = chunks(http, messages=user(), max_tokens=12, stop=asked)
    text = "".join(c["choices"][0]["delta"].get("content", "") for c in streamed)
    assert text == whole[: whole.index(stop)]
    assert streamed[-1]["choices"][0]["finish_reason"] == "stop"


def test_a_seed_brings_a_drawn_answer_again(client: Client) -> None:
    def drawn(seed: int) -> str:
        return text_of(client.chat(user(), max_tokens=8, temperature=1.5, top_p=0.9, seed=seed))

    assert drawn(-7) == drawn(-7) != drawn(8)


def test_the_answer_matches_the_schema_that_was_asked_for(http: httpx.Client) -> None:
    schema = {
        "type": "object",
        "properties": {"word": {"enum": ["yes", "no"]}, "n": {"type": "integer"}},
        "required": ["word", "n"],
    }
    form = {
        "type": "json_schema",
        "json_schema": {"name": "vote", "strict": True, "schema": schema},
    }
    streamed = chunks(http, messages=user(), max_tokens=60, response_format=form)
    answer = json.loads("".join(c["choices"][0]["delta"].get("content", "") for c in streamed))
    assert answer["word"] in ("yes", "no")
    assert isinstance(answer["n"], int)


def test_json_that_reaches_its_limit_is_cut_and_says_so(http: httpx.Client) -> None:
    schema = {"type": "object", "properties": {"reasons": {"type": "string"}}}
    schema |= {"required": ["reasons"]}
    form = {"type": "json_schema", "json_schema": {"name": "long", "schema": schema}}
    body = {"messages": user(), "max_tokens": 3, "response_format": form}
    [choice] = http.post("/v1/chat/completions", json=body).json()["choices"]
    assert choice["message"]["content"].startswith("{")
    assert choice["finish_reason"] == "length"


def test_what_has_no_meaning_here_is_ignored(http: httpx.Client, client: Client) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    called = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = {
        "messages": [
            *user(),
            {"role": "assistant", "content": None, "tool_calls": [called]},
            {"role": "tool", "tool_call_id": "1", "content": "2"},
        ],
        "max_tokens": 6,
        "tools": [tool],
        "tool_choice": "auto",
        "user": "me",
        "invented": {"by": "nobody"},
        "n": 1,
        "logprobs": False,
        "stop": None,
        "stream": None,
    }
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200
    plain = [*user(), assistant(""), *user("2")]
    content = answer.json()["choices"][0]["message"]["content"]
    assert content == text_of(client.chat(plain, max_tokens=6))


def test_feedback_is_given_in_parts_and_in_a_stream(http: httpx.Client, client: Client) -> None:
    completion = answered(client, "Which tea is served?")
    marked = [*user("Which tea is served?"), assistant(text_of(completion))]
    parts = [{"type": "text", "text": "/critical "}, {"type": "text", "text": "wrong"}]
    found = chunks(http, messages=[*marked, {"role": "user", "content": parts}])
    assert {chunk["id"] for chunk in found} == {completion.id}
    assert found[-1]["shammah"]["feedback"]["level"] == "critical"
    assert "Recorded as critical" in found[0]["choices"][0]["delta"]["content"]


# errors


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"model": "gpt-4", "messages": user()}, 404, "ModelNotFound"),
        ({"model": "shammah", "messages": []}, 400, "UsageError"),
        ({"model": "shammah"}, 400, "UsageError"),
        ({"model": "shammah", "messages": user(), "temperature": -1}, 400, "UsageError"),
        ({"model": "shammah", "messages": [{"role": "judge", "content": ""}]}, 400, "UsageError"),
        ({"messages": user(), "n": 2}, 400, "UsageError"),
        ({"messages": user(), "logprobs": True}, 400, "UsageError"),
        ({"messages": user(), "stop": list("abcde")}, 400, "UsageError"),
        ({"messages": user(), "seed": 2**70}, 400, "UsageError"),
        ({"messages": user("word " * 2100)}, 400, "PromptTooLong"),
        ({"messages": user(), "response_format": {"type": "json_schema"}}, 400, "UsageError"),
        ({"messages": user(), "response_format": GHOST}, 400, "UsageError"),
        ({"messages": [{"role": "user", "content": PICTURE}]}, 400, "UsageError"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_bad_request_is_an_error_in_openais_shape(
    http: httpx.Client, body: dict[str, Any], status: int, kind: str, stream: bool
) -> None:
    response = http.post("/v1/chat/completions", json={**body, "stream": stream})
    error = response.json()["error"]
    assert response.status_code == status
    assert error["type"] == kind
    assert error["message"]
    assert {"code", "param"} <= set(error)


def test_an_unknown_path_and_broken_json_are_errors_too(http: httpx.Client) -> None:
    assert http.get("/v1/nothing").json()["error"]["type"] == "NotFound"
    wrong = http.get("/v1/chat/completions")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert wrong.json()["error"]["message"]
    json_type = {"Content-Type": "application/json"}
    response = http.post("/v1/chat/completions", content=b"{not json", headers=json_type)
    assert response.status_code == 400
    assert response.json()["error"]["message"]


def test_an_error_does_not_repeat_what_was_asked(http: httpx.Client) -> None:
    body = {"model": "shammah", "messages": [{"role": "user", "content": {"secret": "sesame"}}]}
    assert "sesame" not in http.post("/v1/chat/completions", json=body).text


def test_a_long_history_loses_its_oldest_turns_and_says_so(start_daemon: StartDaemon) -> None:
    with start_daemon(SMALL_CONTEXT).client as client:
        history = [*user("old " * 230), assistant("Yes."), *user()]
        completion = client.chat(history, max_tokens=4)
        assert completion.shammah.dropped_messages == 2
        assert text_of(completion) == text_of(client.chat(user(), max_tokens=4))


def test_a_question_longer_than_the_context_is_refused(start_daemon: StartDaemon) -> None:
    with start_daemon(SMALL_CONTEXT).client as client:
        with pytest.raises(PromptTooLong, match="room for 256"):
            client.chat(user("word " * 300))
        with pytest.raises(PromptTooLong, match="room for 256"):
            list(client.chat_stream(user("word " * 300)))
        assert text_of(client.chat(user(), max_tokens=4))


def test_the_model_never_sees_commands_and_their_acknowledgements(client: Client) -> None:
    first = answered(client)
    clean = [*user(), assistant(text_of(first)), *user("And the other?")]
    marked = [
        *clean[:2],
        *user("/critical"),
        assistant("Recorded as critical."),
        *user("And the other?"),
    ]
    assert text_of(client.chat(marked, max_tokens=6)) == text_of(client.chat(clean, max_tokens=6))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("absent", "there is no file"),
        ("text", "not a GGUF"),
        ("truncated", "truncated"),
        ("unknown", "mapping for the architecture"),
    ],
)
def test_a_bad_file_is_one_clear_error_and_the_active_model_serves(
    daemon: Daemon, client: Client, tiny_base: Path, tmp_path: Path, kind: str, message: str
) -> None:
    file = tmp_path / "bad.gguf"
    data = tiny_base.read_bytes()
    contents = {
        "text": b"These are notes. " * 99,
        "truncated": data[: len(data) // 2],
        "unknown": data.replace(b"llama", b"lamma", 1),
    }
    if kind in contents:
        file.write_bytes(contents[kind])
    with pytest.raises((BaseModelError, UsageError), match=message) as raised:
        client.add_base(file, "bad", None)
    assert "bad.gguf" in raised.value.message or kind == "unknown"
    assert raised.value.hint
    assert [base.name for base in client.bases()] == [TINY]
    assert not daemon.paths.base("bad").exists()
    assert text_of(answered(client))
