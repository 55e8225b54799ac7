"""How answers leave: as server-sent events, and not at all once the client has gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing
from typing import TypeVar

from fastapi import HTTPException, Request
from sse_starlette import EventSourceResponse, ServerSentEvent

from shammah.errors import ShammahError
from shammah_daemon.failures import error_response

Reply = TypeVar("Reply")


#: As nginx calls it; nobody reads it.
CLIENT_GONE = 499


async def unless_gone(request: Request, work: Coroutine[None, None, Reply]) -> Reply:
    """What `work` returns; cancels it when the client closes the connection.

    Raises:
        HTTPException: it did.
    """
    working = asyncio.create_task(work)
    listening = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait((working, listening), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise HTTPException(CLIENT_GONE, "the client has closed the connection")
        return working.result()
    finally:
        for task in (working, listening):
            task.cancel()
        await asyncio.gather(working, listening, return_exceptions=True)


async def _gone(request: Request) -> None:
    """Returns when the client has closed the connection; its body has been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def sse(chunks: AsyncGenerator[str, None]) -> EventSourceResponse:
    """Chunks as OpenAI streams them. An error after the first chunk is the last one: the status
    line is long gone."""

    async def events() -> AsyncIterator[ServerSentEvent]:
        async with aclosing(chunks):
            try:
                async for chunk in chunks:
                    yield ServerSentEvent(data=chunk, sep="\n")
            except ShammahError as error:
                yield ServerSentEvent(data=error_response(error).model_dump_json(), sep="\n")
        yield ServerSentEvent(data="[DONE]", sep="\n")

    return EventSourceResponse(events(), sep="\n")
