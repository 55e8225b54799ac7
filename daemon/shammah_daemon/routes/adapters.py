"""/api/adapters."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import APIRouter, Request, Response
from sse_starlette import EventSourceResponse

from shammah.protocol import (
    AdapterView,
    ExportEvent,
    ExportRequest,
    ImportAdapterRequest,
    Listing,
    LoadAdapterRequest,
)
from shammah_daemon.document import EXPORT_EVENTS, errors
from shammah_daemon.routes.replies import sse, unless_gone
from shammah_daemon.services import Wired

router = APIRouter(tags=["adapters"])


@router.get("/api/adapters")
async def adapters(services: Wired) -> Listing[AdapterView]:
    """Those of the versions, newest first, then the imported ones by name."""
    return Listing(data=await services.adapters.views())


@router.post("/api/adapters", responses=errors(404, 409, 503, 507))
async def take_in(request: ImportAdapterRequest, services: Wired) -> AdapterView:
    """Check a PEFT folder and copy it into the home."""
    return await services.adapters.take_in(request)


@router.post(
    "/api/adapters/export",
    response_class=EventSourceResponse,
    responses=EXPORT_EVENTS | errors(404, 409, 503, 507),
)
async def export(request: ExportRequest, services: Wired, http: Request) -> EventSourceResponse:
    """Write adapters, or a model with them merged in, for other programs; hanging up ends it."""
    events = services.exporting.export(request)
    # The first one is awaited here, so that what fails before it is an HTTP error.
    return sse(_stream(await unless_gone(http, anext(events)), events))


async def _stream(
    first: ExportEvent, events: AsyncGenerator[ExportEvent, None]
) -> AsyncGenerator[str, None]:
    async with aclosing(events):
        yield first.model_dump_json()
        async for event in events:
            yield event.model_dump_json()


@router.get("/api/adapters/{name}", responses=errors(404))
async def adapter(name: str, services: Wired) -> AdapterView:
    """One of them."""
    return await services.adapters.get(name)


@router.post("/api/adapters/{name}/load", responses=errors(404, 409, 503, 507))
async def load(
    name: str, services: Wired, request: LoadAdapterRequest | None = None
) -> AdapterView:
    """Add it to what serves, from the next answer on; loaded already, change its scale."""
    return await services.adapters.load(name, (request or LoadAdapterRequest()).scale)


@router.post("/api/adapters/{name}/unload", responses=errors(404, 409, 503, 507))
async def unload(name: str, services: Wired) -> AdapterView:
    """Take it off what serves, from the next answer on."""
    return await services.adapters.unload(name)


@router.delete("/api/adapters/{name}", status_code=204, responses=errors(404, 409, 507))
async def delete(name: str, services: Wired) -> Response:
    """Remove an imported adapter that is not loaded, with its files."""
    await services.adapters.delete(name)
    return Response(status_code=204)
