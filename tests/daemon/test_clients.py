"""Programs that know OpenAI's API and nothing of Shammah talk to a real daemon."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from openai import OpenAI
from pydantic import BaseModel, SecretStr

from shammah import token
from tests.asking import QUESTION
from tests.running import free_port, scrubbed_environment, serving_tiny


@pytest.fixture(scope="module")
def url() -> str:
    return f"http://127.0.0.1:{free_port()}/v1"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory, tiny_ground: Path, url: str) -> Iterator[str]:
    """The token of a daemon that listens at `url`."""
    settings = {
        "SHAMMAH_CHAT__MAX_TOKENS": "12",
        "SHAMMAH_DAEMON__PORT": str(httpx.URL(url).port),
    }
    with serving_tiny(tmp_path_factory.mktemp("clients"), tiny_ground, settings) as daemon:
        yield token.read(daemon.paths.token)


@pytest.fixture(scope="module")
def sdk(url: str, key: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=url, api_key=key, max_retries=0) as client:
        yield client


class Vote(BaseModel):
    agrees: bool
    votes: int


# the openai SDK


def test_the_sdk_holds_a_conversation(sdk: OpenAI) -> None:
    first = sdk.chat.completions.create(
        model="shammah", messages=[{"role": "user", "content": QUESTION}]
    )
    answer = first.choices[0].message.content
    assert first.usage is not None
    assert first.usage.completion_tokens <= 12
    second = sdk.chat.completions.create(
        model="shammah",
        messages=[
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": answer},
            {"role": "user", "content": [{"type": "text", "text": "And the other?"}]},
        ],
        max_completion_tokens=3,
    )
    assert second.choices[0].finish_reason == "length"
    assert second.id != first.id


def test_the_sdk_streams(sdk: OpenAI) -> None:
    stream = sdk.chat.completions.create(
        model="shammah",
        messages=[{"role": "user", "content": QUESTION}],
        max_tokens=5,
        stream=True,
        stream_options={"include_usage": True},
    )
    first, *middle, last = list(stream)
    assert first.choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in middle)
    assert middle[-1].choices[0].finish_reason == "length"
    assert last.usage is not None
    assert last.usage.completion_tokens == 5


def test_the_sdk_parses_an_answer_with_a_schema(sdk: OpenAI) -> None:
    parsed = sdk.chat.completions.parse(
        model="shammah",
        messages=[{"role": "user", "content": "Vote."}],
        response_format=Vote,
        max_tokens=60,
    )
    assert isinstance(parsed.choices[0].message.parsed, Vote)


def test_the_sdk_completes_embeds_and_lists(sdk: OpenAI) -> None:
    assert sdk.completions.create(model="base", prompt="Once", max_tokens=3).choices[0].text
    embedded = sdk.embeddings.create(model="shammah", input=["Rain.", "Sun."])
    assert len(embedded.data[0].embedding) == len(embedded.data[1].embedding) == 64
    assert [model.id for model in sdk.models.list()] == ["shammah", "base"]
    assert sdk.models.retrieve("shammah").owned_by == "shammah"


def test_the_sdk_knows_our_errors(sdk: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        sdk.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": QUESTION}]
        )
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as many:
        sdk.chat.completions.create(
            model="shammah", messages=[{"role": "user", "content": QUESTION}], n=2
        )
    assert many.value.param == "n"
    with pytest.raises(openai.BadRequestError) as long:
        sdk.chat.completions.create(
            model="shammah", messages=[{"role": "user", "content": "word " * 2100}], stream=True
        )
    assert long.value.code == "context_length_exceeded"


# langchain


@pytest.fixture(scope="module")
def langchain(url: str, key: str) -> ChatOpenAI:
    return ChatOpenAI(
        model="shammah", base_url=url, api_key=SecretStr(key), max_retries=0, temperature=0
    )


def test_langchain_converses_and_streams(langchain: ChatOpenAI) -> None:
    asked = [SystemMessage("Be brief."), HumanMessage(QUESTION), AIMessage("7443."),
             HumanMessage("Sure?")]  # fmt: skip
    whole = langchain.invoke(asked)
    assert isinstance(whole, AIMessage)
    assert whole.usage_metadata is not None
    streamed = "".join(str(chunk.content) for chunk in langchain.stream(asked))
    assert streamed == whole.content


def test_langchain_gets_structured_answers_and_embeddings(
    langchain: ChatOpenAI, url: str, key: str
) -> None:
    voting = langchain.model_copy(update={"max_tokens": 60})
    assert isinstance(voting.with_structured_output(Vote).invoke("Vote."), Vote)
    embeddings = OpenAIEmbeddings(
        model="shammah",
        openai_api_base=url,
        openai_api_key=SecretStr(key),
        check_embedding_ctx_length=False,
    )
    assert len(embeddings.embed_query("Rain.")) == 64


def test_langchain_knows_our_errors(langchain: ChatOpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        langchain.model_copy(update={"model_name": "gpt-4o"}).invoke(QUESTION)


# llm


def run_llm(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "llm", *arguments],
        env=scrubbed_environment() | {"LLM_USER_PATH": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_llm_asks_streams_and_goes_on(url: str, key: str, tmp_path: Path) -> None:
    keys = {"shammah": key}
    (tmp_path / "keys.json").write_text(json.dumps(keys))
    ours = {"api_base": url, "api_key_name": "shammah", "supports_schema": True}
    models = [
        {"model_id": "mine", "model_name": "shammah", **ours},
        {"model_id": "wrong", "model_name": "gpt-4o", **ours},
    ]
    # YAML reads JSON.
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps(models))
    first = run_llm(tmp_path, "-m", "mine", QUESTION)
    assert first.returncode == 0, first.stderr
    assert first.stdout.strip()
    again = run_llm(tmp_path, "-m", "mine", "--no-stream", QUESTION)
    assert again.stdout.strip() == first.stdout.strip()
    assert run_llm(tmp_path, "-c", "And the other?").stdout.strip()
    wrong = run_llm(tmp_path, "-m", "wrong", QUESTION)
    assert wrong.returncode == 1
    assert "does not exist" in wrong.stderr
