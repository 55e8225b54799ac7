"""/api/backup."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from shammah.protocol import SIZE_HEADER, BackupRequest
from shammah_daemon.document import errors, raw
from shammah_daemon.services import Wired

router = APIRouter(tags=["system"])

MEDIA_TYPE = "application/x-tar"


@router.post(
    "/api/backup",
    response_class=StreamingResponse,
    responses=raw(MEDIA_TYPE, "the backup") | errors(507),
)
async def backup(request: BackupRequest, services: Wired) -> StreamingResponse:
    """Everything as it is now, as a tar file that `shammah restore` reads."""
    made = await services.backups.make(models=request.models)
    headers = {SIZE_HEADER: str(made.size_bytes)}
    return StreamingResponse(made.pieces, media_type=MEDIA_TYPE, headers=headers)
