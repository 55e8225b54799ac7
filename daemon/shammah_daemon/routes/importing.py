"""/api/examples/import and /api/examples/export."""

from __future__ import annotations

from fastapi import APIRouter, Response

from shammah.feedback.lines import render
from shammah.protocol import ImportReceipt, ImportRequest
from shammah_daemon.document import errors, raw
from shammah_daemon.services import Wired

router = APIRouter(tags=["learning"])

MEDIA_TYPE = "application/x-ndjson"


@router.post("/api/examples/import", responses=errors(409, 507))
async def import_(request: ImportRequest, services: Wired) -> ImportReceipt:
    """Add the examples of a file's lines; those that are refused are named."""
    return await services.importing.add(request.lines, request.source)


@router.get(
    "/api/examples/export",
    response_class=Response,
    responses=raw(MEDIA_TYPE),
)
async def export(services: Wired) -> Response:
    """Drafts, held and ready examples, one a line, oldest first."""
    found = await services.database.run(lambda store: store.examples.list())
    return Response("".join(render(found[::-1])), media_type=MEDIA_TYPE)
