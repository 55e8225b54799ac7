"""/v1/completions and /v1/embeddings, in OpenAI's shape."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import APIRouter, Request
from sse_starlette import EventSourceResponse

from shammah.completions import (
    Completion,
    CompletionChoice,
    CompletionRequest,
    EmbeddingList,
    EmbeddingRequest,
    Usage,
)
from shammah.engine.handle import Finished
from shammah.errors import ShammahError
from shammah.records import Active
from shammah_daemon.document import STREAM, errors
from shammah_daemon.routes.chat import fingerprint, usage_of
from shammah_daemon.routes.replies import sse, unless_gone
from shammah_daemon.services import Wired

router = APIRouter(tags=["text"])

Parts = AsyncGenerator[Active | str | Finished, None]


@router.post(
    "/v1/completions",
    response_model=Completion,
    responses=STREAM | errors(404, 409, 503),
)
async def completions(
    request: CompletionRequest, services: Wired, http: Request
) -> Completion | EventSourceResponse:
    """A text goes on as it is, without a chat template. Not a turn: it cannot get feedback."""
    parts = services.text.complete(request)
    if not request.stream:
        return await unless_gone(http, _collect(request, parts))
    # The first part is awaited here, so that what fails before it is an HTTP error.
    first = await unless_gone(http, anext(parts))
    return sse(_stream(first, parts, request))


@router.post("/v1/embeddings", responses=errors(404, 409, 503))
async def embeddings(request: EmbeddingRequest, services: Wired, http: Request) -> EmbeddingList:
    """Texts as vectors of length 1: the mean of the model's last hidden states."""
    return await unless_gone(http, services.text.embed(request))


async def _collect(request: CompletionRequest, parts: Parts) -> Completion:
    text = ""
    async with aclosing(parts):
        active = await anext(parts)
        assert isinstance(active, Active)
        async for part in parts:
            if isinstance(part, Finished):
                whole = _chunk(request, active, text, part.reason)
                return whole.model_copy(update={"usage": usage_of(part)})
            assert isinstance(part, str)
            text += part
    raise ShammahError("the text ended without an end")


async def _stream(
    first: Active | str | Finished, parts: Parts, request: CompletionRequest
) -> AsyncGenerator[str, None]:
    """OpenAI's chunks as JSON text."""
    assert isinstance(first, Active)
    beginning = _chunk(request, first, "", None)
    async with aclosing(parts):
        async for part in parts:
            if isinstance(part, Finished):
                yield _json(_with(beginning, "", part.reason), None)
                if request.wants_usage:
                    yield _json(beginning.model_copy(update={"choices": []}), usage_of(part))
            else:
                assert isinstance(part, str)
                yield _json(_with(beginning, part, None), None)


def _chunk(
    request: CompletionRequest, active: Active, text: str, finish_reason: str | None
) -> Completion:
    return Completion(
        id=f"cmpl-{secrets.token_hex(12)}",
        created=int(time.time()),
        model=request.model,
        system_fingerprint=fingerprint(active),
        choices=[CompletionChoice(text=text, finish_reason=finish_reason)],
    )


def _with(chunk: Completion, text: str, finish_reason: str | None) -> Completion:
    choice = CompletionChoice(text=text, finish_reason=finish_reason)
    return chunk.model_copy(update={"choices": [choice]})


def _json(chunk: Completion, usage: Usage | None) -> str:
    excluded = {"usage"} if usage is None else None
    return chunk.model_copy(update={"usage": usage}).model_dump_json(exclude=excluded)
