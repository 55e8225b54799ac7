"""/api/logs: what the daemon and its children have written."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query

from shammah.protocol import LogTail
from shammah_daemon.document import errors
from shammah_daemon.services import Wired
from shammah_daemon.tail import tail

router = APIRouter(tags=["system"])

#: A place in the logs, as an earlier answer gave it.
Place = Annotated[str | None, Query(max_length=100)]


@router.get("/api/logs", responses=errors(422))
async def logs(services: Wired, after: Place = None) -> LogTail:
    """The lines after the place that an earlier call gave as `next`, or the end of the logs."""
    return await asyncio.to_thread(tail, services.paths.logs, after)
