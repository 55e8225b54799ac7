"""What tests ask of a daemon, as Shammah's client and as any OpenAI client would."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from httpx_sse import EventSource

from shammah.client import ChatChunk, Client
from shammah.protocol import ChatCompletion, JobView
from shammah.records import Level, Message

QUESTION = "Which port does the admin API listen on?"

#: What the tiny model is taught to answer, whatever it is asked.
TARGET = "yes we agree indeed"

#: The smallest context that can be set: long messages need not be very long.
SMALL_CONTEXT = {"SHAMMAH_ENGINE__CONTEXT_TOKENS": "256"}


@dataclass
class Listener:
    """A client that asks for one streamed answer after another."""

    connect: Callable[[], Client]
    question: str
    max_tokens: int = 120
    answers: list[list[ChatChunk]] = field(default_factory=list)
    began: list[float] = field(default_factory=list)
    problem: Exception | None = None
    done: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    def start(self) -> None:
        self.thread = threading.Thread(target=self._listen)
        self.thread.start()

    def stop(self) -> None:
        self.done.set()
        assert self.thread is not None
        self.thread.join()

    def _listen(self) -> None:
        try:
            with self.connect() as client:
                while not self.done.is_set():
                    self.began.append(time.monotonic())
                    self.answers.append(
                        list(client.chat_stream(user(self.question), max_tokens=self.max_tokens))
                    )
        except Exception as error:
            self.problem = error


def user(content: str = QUESTION) -> list[Message]:
    return [Message(role="user", content=content)]


def assistant(content: str) -> Message:
    return Message(role="assistant", content=content)


def answered(client: Client, question: str = QUESTION, max_tokens: int = 6) -> ChatCompletion:
    """A short greedy answer."""
    return client.chat(user(question), max_tokens=max_tokens)


def text_of(completion: ChatCompletion) -> str:
    return completion.choices[0].message.content


def case(number: int) -> str:
    """One of the questions that lessons on the tiny model are about."""
    return f"what do we do about case {number} then"


def answers(client: Client, cases: int = 3) -> list[str]:
    """Greedy answers to the first cases, one request after another."""
    return [text_of(answered(client, case(number), 30)) for number in range(cases)]


def correct(client: Client, *cases: int) -> None:
    """Say of each case what the answer should have been. Only its beginning is asked for: the
    whole of it may be right already."""
    for number in cases:
        answer = answered(client, case(number), 2)
        client.feedback(Level.CRITICAL, answer.id, correction=TARGET)


def finished(client: Client, job_id: int | None) -> JobView:
    """The job, when it has come to its end."""
    assert job_id is not None
    for _ in client.job_events(job_id):
        pass
    return client.job(job_id)


def chunks(http: httpx.Client, **body: Any) -> list[dict[str, Any]]:
    """A chat stream's chunks, its end checked."""
    return events(http, "/v1/chat/completions", **body)


def events(http: httpx.Client, path: str, **body: Any) -> list[dict[str, Any]]:
    """The chunks of any of OpenAI's streams, its end checked."""
    body = {"model": "shammah", "stream": True, **body}
    with http.stream("POST", path, json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        *data, last = [event.data for event in EventSource(response).iter_sse() if event.data]
    assert last == "[DONE]"
    return [json.loads(item) for item in data]
