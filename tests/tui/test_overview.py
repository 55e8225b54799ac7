"""The page *Overview* before a daemon at rest and at work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shammah.client import Client
from shammah.protocol import JobView
from shammah.records import JobState

if TYPE_CHECKING:
    from tests.tui.conftest import Watching

pytestmark = pytest.mark.timeout(240, func_only=True)


async def test_shows_the_figures_and_why_no_job_runs(client: Client, watching: Watching) -> None:
    async with watching(size=(160, 50)) as eye:
        await eye.sees("base    tiny", "version 1 · Q8_0", "ready ·", "daemon  pid")
        await eye.sees("1 draft · 1 held", "1 secret", "wait for you")
        await eye.sees("Next job", "more examples; 1 not learned yet", "t trains now")
        await eye.sees("3 opens the examples, i the inbox", "the next lesson takes about")
        await eye.presses("c")  # there is nothing to cancel
        assert len(eye.app.screen_stack) == 1


async def test_shows_the_running_job_and_asks_before_it_cancels_it(
    held_job: JobView, client: Client, watching: Watching
) -> None:
    async with watching() as eye:
        await eye.sees(f"Job {held_job.id} · consolidate · training")
        await eye.sees("✓ preparing → ● training → ○ merging")
        await eye.sees("loss", "gradient norm", "tokens/s")
        await eye.presses("c")
        await eye.sees(f"Cancel job {held_job.id}?")
        await eye.presses("enter")  # the answer in focus keeps the job
        await eye.sees_no_more("What it has learned so far is lost")
        assert client.job(held_job.id).state is JobState.TRAINING


async def test_b_rolls_back_after_a_question(client: Client, watching: Watching) -> None:
    async with watching() as eye:
        await eye.presses("b")
        await eye.sees("Roll back to the version that answered before?")
        await eye.presses("y")
        await eye.sees("version 0 of tiny answers now")
    assert client.status().active_version == 0
    client.rollback(1)
