"""The page *Job*: a job as it goes, its end, and former ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shammah.client import Client
from shammah.records import JobState
from shammah_tui.curves import Curves

if TYPE_CHECKING:
    from tests.tui.conftest import Watching

pytestmark = pytest.mark.timeout(240, func_only=True)


async def test_shows_what_was_trained_how_it_went_and_the_report(watching: Watching) -> None:
    async with watching("2", size=(160, 50)) as eye:
        await eye.sees("1   consolidate")
        await eye.presses("ctrl+end")  # the first job of all
        await eye.sees("Job 1 · consolidate · promoted", "steps · loss", "held-out loss")
        await eye.sees("quantizing", "judging", "promoted")
        curves = eye.app.screen.query_one(Curves)
        await eye.until(lambda: curves._curves and len(curves._curves["training"].x) > 30)
        await eye.presses("g")
        await eye.sees("✓ passed  learned:", "sane:", "case 1 then", "nats a token")
        await eye.presses("escape")
        await eye.sees_no_more("sane:")


async def test_t_trains_and_the_job_is_followed_paused_resumed_and_cancelled(
    client: Client, watching: Watching
) -> None:
    async with watching("2") as eye:
        await eye.presses("t")
        await eye.sees("is queued")
        await eye.sees("● training", "gradient norm", "tokens/s", "preparing")
        curves = eye.app.screen.query_one(Curves)
        await eye.until(lambda: curves._curves and len(curves._curves["training"].x) > 1)
        await eye.presses("p")
        await eye.sees("is paused: p lets it go on", "· consolidate · paused")
        assert client.jobs()[0].state is JobState.PAUSED
        await eye.presses("p")
        await eye.sees("goes on")
        await eye.until(lambda: client.jobs()[0].state is not JobState.PAUSED)
        await eye.presses("c")
        await eye.sees("Cancel job")
        await eye.presses("y")
        await eye.sees("is cancelled")
        await eye.sees("cancelled")
    assert client.jobs()[0].state is JobState.CANCELLED
