"""/v1/chat/completions, in OpenAI's shape."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from sse_starlette import EventSourceResponse

from shammah.completions import ChatMessage, ChatRequest, Usage
from shammah.engine.handle import Finished
from shammah.errors import ShammahError
from shammah.feedback.commands import FeedbackCommand, FixCommand, parse
from shammah.protocol import AppliedView, ChatChoice, ChatCompletion, ShammahInfo
from shammah.records import Active, Applied, Message
from shammah_daemon.chat import Ended, Started
from shammah_daemon.document import STREAM, errors
from shammah_daemon.routes.replies import sse, unless_gone
from shammah_daemon.services import Services, Wired

router = APIRouter(tags=["chat"])


@router.post(
    "/v1/chat/completions",
    response_model=ChatCompletion,
    responses=STREAM | errors(404, 409, 503, 507),
)
async def chat_completions(
    request: ChatRequest, services: Wired, http: Request
) -> ChatCompletion | EventSourceResponse:
    """An answer, whole or streamed. A message that begins with /critical, /medium, /good or /fix
    is feedback on the answer before it, from any client."""
    command = parse(request.messages[-1].content) if _asks(request) else None
    if command is not None:
        await services.naming.version_of(request.model)
        completion = await _acknowledge(command, request, services)
        return sse(_replay(completion, request)) if request.stream else completion
    parts = services.chat.answer(request)
    if not request.stream:
        return await unless_gone(http, _collect(request.model, parts))
    # The first part is awaited here, so that what fails before it is an HTTP error.
    first = await unless_gone(http, anext(parts))
    return sse(_stream(first, parts, request))


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
        model=request.model,
        system_fingerprint=fingerprint(active),
        choices=[
            ChatChoice(
                message=ChatMessage(role="assistant", content=receipt.message),
                finish_reason="stop",
            )
        ],
        usage=Usage(prompt_tokens=0, completion_tokens=0, total_tokens=0),
        shammah=ShammahInfo(version=active.version, base=active.base, feedback=receipt),
    )


async def _collect(
    model: str, parts: AsyncGenerator[Started | str | Ended, None]
) -> ChatCompletion:
    text = ""
    started: Started | None = None
    async with aclosing(parts):
        async for part in parts:
            if isinstance(part, Started):
                started = part
            elif isinstance(part, str):
                text += part
            else:
                assert started is not None
                return _completion(model, started, text, part.finished)
    raise ShammahError("the answer ended without an end")


def _completion(model: str, started: Started, text: str, finished: Finished) -> ChatCompletion:
    return ChatCompletion(
        id=started.turn_id,
        created=int(time.time()),
        model=model,
        system_fingerprint=fingerprint(started.active, started.adapters),
        choices=[
            ChatChoice(
                message=ChatMessage(role="assistant", content=text),
                finish_reason=finished.reason,
            )
        ],
        usage=usage_of(finished),
        shammah=_info(started, finished),
    )


async def _stream(
    first: Started | str | Ended, parts: Any, request: ChatRequest
) -> AsyncGenerator[str, None]:
    """OpenAI's chunks as JSON text."""
    assert isinstance(first, Started)
    chunk = {
        "id": first.turn_id,
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": request.model,
        "system_fingerprint": fingerprint(first.active, first.adapters),
    }
    async with aclosing(parts):
        yield _delta(chunk, {"role": "assistant", "content": ""})
        async for part in parts:
            if isinstance(part, str):
                yield _delta(chunk, {"content": part})
                continue
            info = _info(first, part.finished).model_dump()
            yield _delta({**chunk, "shammah": info}, {}, part.finished.reason)
            if request.wants_usage:
                usage = usage_of(part.finished).model_dump()
                yield json.dumps({**chunk, "choices": [], "usage": usage})


async def _replay(completion: ChatCompletion, request: ChatRequest) -> AsyncGenerator[str, None]:
    """A finished completion as a stream."""
    chunk = completion.model_dump(include={"id", "created", "model", "system_fingerprint"})
    chunk["object"] = "chat.completion.chunk"
    [choice] = completion.choices
    yield _delta(chunk, {"role": "assistant", "content": choice.message.content})
    info = completion.shammah.model_dump(mode="json")
    yield _delta({**chunk, "shammah": info}, {}, choice.finish_reason)
    if request.wants_usage:
        yield json.dumps({**chunk, "choices": [], "usage": completion.usage.model_dump()})


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
        adapters=[AppliedView.model_validate(one) for one in started.adapters],
    )


def usage_of(finished: Finished) -> Usage:
    return Usage(
        prompt_tokens=finished.prompt_tokens,
        completion_tokens=finished.completion_tokens,
        total_tokens=finished.prompt_tokens + finished.completion_tokens,
    )


def fingerprint(active: Active, adapters: Sequence[Applied] = ()) -> str:
    """What answered: it changes with the version, and with the adapters that are added to it."""
    added = "".join(f"+{one.name}*{one.scale:g}" for one in adapters)
    return f"{active.base}@{active.version}{added}"
