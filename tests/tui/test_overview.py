"""The overview before a daemon that works, that is busy, that is away and that comes back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from shammah import launch
from shammah.client import Client
from shammah.paths import Paths
from shammah.records import JobState, Level

if TYPE_CHECKING:
    from tests.tui.conftest import Watching

pytestmark = [
    pytest.mark.timeout(60),
    # httpcore leaves the socket of a refused connection to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]


@pytest.fixture
def slow_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_STAGE_SECONDS", "20")


async def stop(paths: Paths) -> None:
    await asyncio.to_thread(launch.stop, paths, lambda text: None)


async def test_shows_the_figures(client: Client, watching: Watching) -> None:
    turn = client.chat([{"role": "user", "content": "why?"}])
    client.feedback(Level.GOOD, turn.id)
    async with watching() as eye:
        await eye.sees("fake", "0, the base · Q6_K", "ready · 123 MB", "up 1 min")
        await eye.sees("1 ready", "1 of 10 · 9 more start a lesson")
        await eye.sees("no job is running", "no job has ended yet")
        await eye.sees("Quit", "Refresh", "Train now", "Cancel job", "Help")


@pytest.mark.usefixtures("slow_job")
async def test_shows_the_running_job(client: Client, watching: Watching) -> None:
    client.train()
    async with watching() as eye:
        await eye.sees("Job 1 · consolidate · training", "✓ preparing → ● training → ○ merging")
        await eye.sees("step 1/2 · loss 0.250", "50%")


async def test_follows_a_job_to_its_end(client: Client, watching: Watching) -> None:
    async with watching() as eye:
        await eye.sees("no job is running")
        client.train()
        await eye.sees("job 1 promoted: learned 9 of 10; 1 still wrong", "version 1 of fake")


async def test_job_events_arrive_without_a_poll(
    monkeypatch: pytest.MonkeyPatch, paths: Paths, watching: Watching
) -> None:
    monkeypatch.setenv("FAKE_STAGE_SECONDS", "0.5")
    monkeypatch.setattr("shammah_tui.link.POLL_SECONDS", 3600.0)
    client = await asyncio.to_thread(launch.ensure_running, paths, lambda text: None)
    async with watching() as eye:
        await eye.sees("no job is running")
        client.train()
        await eye.sees("● quantizing")
        await eye.sees("job 1 promoted")
    client.close()


@pytest.mark.usefixtures("slow_job")
async def test_t_trains(client: Client, watching: Watching) -> None:
    async with watching() as eye:
        await eye.sees("no job is running")
        await eye.presses("t")
        await eye.sees("job 1 is queued")
        await eye.sees("● training")
    assert [job.id for job in client.jobs()] == [1]


@pytest.mark.usefixtures("slow_job")
async def test_c_asks_before_it_cancels(client: Client, watching: Watching) -> None:
    client.train()
    async with watching() as eye:
        await eye.sees("● training")
        await eye.presses("c")
        await eye.sees("Cancel job 1?")
        await eye.presses("enter")  # the answer in focus keeps the job
        await eye.sees_no_more("Cancel job 1?")
        assert client.job(1).state is JobState.TRAINING
        await eye.presses("c")
        await eye.sees("Cancel job 1?")
        await eye.presses("y")
        await eye.sees("job 1 is cancelled", "no job is running")
    assert client.job(1).state is JobState.CANCELLED


async def test_c_does_nothing_without_a_job(client: Client, watching: Watching) -> None:
    async with watching() as eye:
        await eye.sees("no job is running")
        await eye.presses("c", "f1")
        await eye.sees("cancel the running job")
        await eye.presses("escape")
        await eye.sees_no_more("cancel the running job")


async def test_without_a_daemon_it_says_how_to_start_one(paths: Paths, watching: Watching) -> None:
    async with watching() as eye:
        await eye.sees(
            "No daemon",
            "start it with 'shammah daemon start'",
            "connects by itself as soon as a daemon answers",
        )
        await eye.presses("t")
        await eye.sees("no daemon answers on", "start it with")


async def test_connects_again_when_the_daemon_is_back(
    client: Client, paths: Paths, watching: Watching
) -> None:
    async with watching() as eye:
        await eye.sees("ready · 123 MB")
        await stop(paths)
        await eye.sees("No daemon")
        await eye.sees("ready · 123 MB")  # the last figures stay
        (await asyncio.to_thread(launch.ensure_running, paths, lambda text: None)).close()
        await eye.sees_no_more("No daemon")
        await eye.presses("t")
        await eye.sees("job 1 promoted")
