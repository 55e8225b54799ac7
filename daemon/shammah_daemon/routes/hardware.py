"""/api/hardware: the machine now and lately."""

from __future__ import annotations

from fastapi import APIRouter

from shammah.protocol import HardwareHistory, HardwareSample, HistorySpan
from shammah_daemon.services import Wired

router = APIRouter(tags=["hardware"])


@router.get("/api/hardware")
async def now(services: Wired) -> HardwareSample:
    """Processor, memory, disk and GPUs at this moment."""
    return await services.hardware.now()


@router.get("/api/hardware/history")
async def history(services: Wired, span: HistorySpan = "hour") -> HardwareHistory:
    """The last hour, or the last day in longer steps; kept in memory since the daemon started."""
    kept = services.hardware.history(span)
    return HardwareHistory(
        span=span, step_seconds=kept.step_seconds, data=kept.points(services.hardware.time)
    )
