"""What must not be left half done."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine


async def uninterrupted(work: Coroutine[None, None, None]) -> None:
    """Run `work` to its end, also where the waiting for it is cancelled; that is raised then."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
