"""Whoever follows a job sees every event once, in order, whenever they come."""

from __future__ import annotations

import asyncio

import pytest

from shammah.protocol import JobEvent
from shammah.records import Active, JobState, Mode
from shammah.store.database import Store
from shammah_daemon.database import Database
from shammah_daemon.hub import Hub
from tests.running import until


@pytest.fixture
def database(store: Store) -> Database:
    store.pointer.move(Active("tiny", 0))
    return Database(store)


@pytest.fixture
def hub(database: Database) -> Hub:
    return Hub(database)


async def new_job(database: Database) -> int:
    job = await database.run(lambda store: store.jobs.create("tiny", Mode.CONSOLIDATE))
    return job.id


async def end(hub: Hub, database: Database, job_id: int) -> None:
    await database.run(lambda store: store.jobs.update(job_id, state=JobState.CANCELLED))
    await hub.publish(job_id, "state", {"state": "cancelled"})


async def collect(hub: Hub, job_id: int | None, after: int = 0) -> list[JobEvent]:
    return [event async for event in hub.follow(job_id, after)]


async def test_a_follower_sees_every_event_once_and_ends_with_the_job(
    hub: Hub, database: Database
) -> None:
    job_id = await new_job(database)
    followers = [asyncio.create_task(collect(hub, job_id)) for _ in range(3)]
    for number in range(50):
        await hub.publish(job_id, "progress", {"fraction": number / 50})
        if number % 7 == 0:
            await asyncio.sleep(0)
    await end(hub, database, job_id)
    for events in await asyncio.gather(*followers):
        assert [event.data["fraction"] for event in events[:-1]] == [n / 50 for n in range(50)]
        assert events[-1].data == {"state": "cancelled"}


async def test_who_follows_without_an_end_ends_with_the_daemon(
    hub: Hub, database: Database
) -> None:
    events: list[JobEvent] = []

    async def follow() -> None:
        async for event in hub.follow(None, 0):
            events.append(event)

    follower = asyncio.create_task(follow())
    await hub.publish(await new_job(database), "progress", {"fraction": 0.5})
    await until(lambda: events)
    await hub.close()
    await asyncio.wait_for(follower, 5)
    [event] = events
    assert event.data == {"fraction": 0.5}


async def test_who_comes_late_gets_what_was_before(hub: Hub, database: Database) -> None:
    job_id = await new_job(database)
    await hub.publish(job_id, "progress", {"fraction": 0.5})
    await end(hub, database, job_id)
    events = await collect(hub, job_id)
    assert [event.kind for event in events] == ["progress", "state"]
    assert await collect(hub, job_id, after=events[0].id) == events[1:]


async def test_a_follower_of_one_job_hears_nothing_of_another(hub: Hub, database: Database) -> None:
    one, other = await new_job(database), await new_job(database)
    follower = asyncio.create_task(collect(hub, one))
    await hub.publish(other, "progress", {"fraction": 0.1})
    await hub.publish(one, "progress", {"fraction": 0.2})
    await end(hub, database, other)
    await end(hub, database, one)
    assert {event.job_id for event in await follower} == {one}


async def test_who_wants_only_news_gets_no_history(hub: Hub, database: Database) -> None:
    job_id = await new_job(database)
    await hub.publish(job_id, "progress", {"fraction": 0.1})
    events = hub.follow(None, -1)
    first = asyncio.ensure_future(anext(events))
    while not first.done():
        await hub.publish(job_id, "progress", {"fraction": 0.2})
        await asyncio.sleep(0.01)
    assert (await first).data == {"fraction": 0.2}
