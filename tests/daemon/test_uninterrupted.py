"""What must not be left half done: it is finished also where the job is cancelled meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from shammah_daemon.uninterrupted import uninterrupted


async def test_a_cancel_waits_for_the_end_of_what_has_begun() -> None:
    done: list[str] = []
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def take_over() -> None:
        begun.set()
        await may_end.wait()
        done.append("store")
        await asyncio.sleep(0)
        done.append("engine")

    job = asyncio.create_task(uninterrupted(take_over()))
    await begun.wait()
    job.cancel()
    await asyncio.sleep(0)
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert done == ["store", "engine"]


async def test_a_failure_is_the_jobs() -> None:
    async def take_over() -> None:
        raise ValueError("disk full")

    with pytest.raises(ValueError, match="disk full"):
        await uninterrupted(take_over())
