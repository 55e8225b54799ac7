"""/v1/models and /v1/chat/completions, in OpenAI's shape."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter
from sse_starlette import EventSourceResponse, ServerSentEvent

from shammah.engine.handle import Finished
from shammah.errors import NotFound, ShammahError
from shammah.feedback.commands import FeedbackCommand, FixCommand, parse
from shammah.protocol import (
    ChatChoice,
    ChatCompletion,
    ChatMessage,
    ChatRequest,
    ModelCard,
    ModelList,
    ShammahInfo,
    Usage,
)
from shammah.records import Active, Message
from shammah_daemon.chat import Ended, Started
from shammah_daemon.failures import error_response
from shammah_daemon.services import Services, Wired

router = APIRouter(tags=["chat"])

#: The one model id: whatever version is active.
MODEL = "shammah"


@router.get("/v1/models")
async def models() -> ModelList:
    """The models that chat requests may name."""
    return ModelList(data=[ModelCard(id=MODEL, created=0)])


@router.post("/v1/chat/completions", response_model=ChatCompletion)
async def chat_completions(
    request: ChatRequest, services: Wired
) -> ChatCompletion | EventSourceResponse:
    """An answer, whole or streamed. A message that begins with /critical, /medium, /good or /fix
    is feedback on the answer before it, from any client."""
    if request.model != MODEL:
        raise NotFound(f"the model {request.model!r} does not exist", hint=f"use {MODEL!r}")
    command = parse(request.messages[-1].content) if _asks(request) else None
    if command is not None:
        completion = await _acknowledge(command, request, services)
        if request.stream:
            return _sse(_replay(completion, request))
        return completion
    parts = services.chat.answer(request)
    if not request.stream:
        return await _collect(parts)
    # The first part is awaited here, so that what fails before it is an HTTP error.
    first = await anext(parts)
    return _sse(_stream(first, parts, request))


def _asks(request: ChatRequest) -> bool:
    return request.messages[-1].role == "user"


async def _acknowledge(
    command: FeedbackCommand | FixCommand, request: ChatRequest, services: Services
) -> ChatCompletion:
    history = [Message(role=m.role, content=m.content) for m in request.messages[:-1]]
    receipt = await services.learning.command(command, history)
    servable = services.serving.servable
    active = servable.active if servable else Active("", 0)
    return ChatCompletion(
        id=receipt.inference_id,
        created=int(time.time()),
        model=MODEL,
        system_fingerprint=_fingerprint(active),
        choices=[
            ChatChoice(
                message=ChatMessage(role="assistant", content=receipt.message),
                finish_reason="stop",
            )
        ],
        usage=Usage(prompt_tokens=0, completion_tokens=0, total_tokens=0),
        shammah=ShammahInfo(version=active.version, base=active.base, feedback=receipt),
    )


async def _collect(parts: AsyncIterator[Started | str | Ended]) -> ChatCompletion:
    text = ""
    started: Started | None = None
    async for part in parts:
        if isinstance(part, Started):
            started = part
        elif isinstance(part, str):
            text += part
        else:
            assert started is not None
            return ChatCompletion(
                id=started.turn_id,
                created=int(time.time()),
                model=MODEL,
                system_fingerprint=_fingerprint(started.active),
                choices=[
                    ChatChoice(
                        message=ChatMessage(role="assistant", content=text),
                        finish_reason=part.finished.reason,
                    )
                ],
                usage=_usage(part.finished),
                shammah=_info(started, part.finished),
            )
    raise ShammahError("the answer ended without an end")


async def _stream(
    first: Started | str | Ended, parts: Any, request: ChatRequest
) -> AsyncGenerator[str, None]:
    """OpenAI's chunks as JSON text."""
    assert isinstance(first, Started)
    chunk = {
        "id": first.turn_id,
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": MODEL,
        "system_fingerprint": _fingerprint(first.active),
    }
    async with aclosing(parts):
        yield _delta(chunk, {"role": "assistant", "content": ""})
        try:
            async for part in parts:
                if isinstance(part, str):
                    yield _delta(chunk, {"content": part})
                    continue
                info = _info(first, part.finished).model_dump()
                yield _delta({**chunk, "shammah": info}, {}, part.finished.reason)
                if request.stream_options and request.stream_options.include_usage:
                    usage = _usage(part.finished).model_dump()
                    yield json.dumps({**chunk, "choices": [], "usage": usage})
        except ShammahError as error:
            # The status line is long gone: the error is the last chunk, in OpenAI's shape.
            yield error_response(error).model_dump_json()


async def _replay(completion: ChatCompletion, request: ChatRequest) -> AsyncGenerator[str, None]:
    """A finished completion as a stream."""
    chunk = completion.model_dump(include={"id", "created", "model", "system_fingerprint"})
    chunk["object"] = "chat.completion.chunk"
    [choice] = completion.choices
    yield _delta(chunk, {"role": "assistant", "content": choice.message.content})
    info = completion.shammah.model_dump(mode="json")
    yield _delta({**chunk, "shammah": info}, {}, choice.finish_reason)
    if request.stream_options and request.stream_options.include_usage:
        yield json.dumps({**chunk, "choices": [], "usage": completion.usage.model_dump()})


def _sse(chunks: AsyncGenerator[str, None]) -> EventSourceResponse:
    async def events() -> AsyncIterator[ServerSentEvent]:
        async with aclosing(chunks):
            async for chunk in chunks:
                yield ServerSentEvent(data=chunk, sep="\n")
        yield ServerSentEvent(data="[DONE]", sep="\n")

    return EventSourceResponse(events(), sep="\n")


def _delta(chunk: dict[str, Any], delta: dict[str, str], finish_reason: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return json.dumps({**chunk, "choices": [choice]})


def _info(started: Started, finished: Finished) -> ShammahInfo:
    return ShammahInfo(
        version=started.active.version,
        base=started.active.base,
        tokens_per_second=finished.tokens_per_second,
        first_token_seconds=finished.first_token_seconds,
        dropped_messages=started.dropped_messages,
        injected=started.injected,
    )


def _usage(finished: Finished) -> Usage:
    return Usage(
        prompt_tokens=finished.prompt_tokens,
        completion_tokens=finished.completion_tokens,
        total_tokens=finished.prompt_tokens + finished.completion_tokens,
    )


def _fingerprint(active: Active) -> str:
    return f"{active.base}@{active.version}"
