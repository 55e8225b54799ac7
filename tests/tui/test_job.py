"""The page *Job*, and the Overview while a job runs: a job as it goes, its end, former ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from shammah.client import Client
from shammah.protocol import JobEvent
from shammah.records import JobState
from shammah_tui.curves import Curves
from shammah_tui.messages import JobMoved
from tests.running import Daemon
from tests.tui.conftest import held

if TYPE_CHECKING:
    from tests.tui.conftest import Eye, Watching

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
    living: Daemon, client: Client, watching: Watching
) -> None:
    async with watching("2") as eye:
        await eye.presses("t")
        await eye.sees("is queued")
        await eye.sees("● training", "gradient norm", "tokens/s", "preparing")
        curves = eye.app.screen.query_one(Curves)
        await eye.until(lambda: curves._curves and len(curves._curves["training"].x) > 1)
        with held(living):
            job_id = client.jobs()[0].id
            measured = progress(job_id, step=1000, loss=1.0, held_out_loss=0.123)
            await eye.until(
                lambda: eye.app.post_message(measured) and 0.123 in curves._curves["held out"].y
            )
            await shown_on_the_overview(eye, client, job_id)
            await eye.presses("2")
            await eye.sees("○ judging", "Log")
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
        await eye.until(lambda: not eye.offers("Cancel"))
        await eye.presses("1")
        await eye.sees("Next job")
        assert not eye.offers("Cancel")
    assert client.jobs()[0].state is JobState.CANCELLED


async def shown_on_the_overview(eye: Eye, client: Client, job_id: int) -> None:
    """The running job and no other; it is not cancelled before a question is answered."""
    await eye.presses("1")
    await eye.sees(f"Job {job_id} · consolidate · training")
    await eye.sees("✓ preparing → ● training → ○ merging", "loss", "gradient norm", "tokens/s")
    assert eye.offers("Cancel")

    def is_told() -> bool:
        eye.app.post_message(progress(job_id, detail="of this job"))
        eye.app.post_message(progress(job_id + 1, detail="of another job"))
        return "of this job" in eye.screen

    await eye.until(is_told)
    await eye.presses("c")
    await eye.sees(f"Cancel job {job_id}?")
    await eye.presses("enter")  # the answer in focus keeps the job
    await eye.sees_no_more("What it has learned so far is lost")
    assert client.job(job_id).state is JobState.TRAINING


def progress(job_id: int, **data: Any) -> JobMoved:
    moment = "2026-11-21T12:00:00+00:00"
    return JobMoved(JobEvent(id=1, job_id=job_id, at=moment, kind="progress", data=data))
