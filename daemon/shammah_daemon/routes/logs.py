"""/api/logs: what the daemon and its children have written."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from shammah.protocol import LogTail
from shammah_daemon.services import Wired
from shammah_daemon.tail import tail

router = APIRouter(tags=["system"])


@router.get("/api/logs")
async def logs(services: Wired, after: str | None = None) -> LogTail:
    """The lines after the place that an earlier call gave as `next`, or the end of the logs."""
    return await asyncio.to_thread(tail, services.paths.logs, after)
