"""Jobs, their times, their version numbers and their events."""

from __future__ import annotations

import pytest

from shammah.errors import Conflict, NotFound
from shammah.records import Job, JobState, Mode, PauseReason, Tried
from shammah.store.database import Store
from tests.store.filling import BASE, Clock, Filler


@pytest.fixture
def job(store: Store) -> Job:
    return store.jobs.create(BASE, Mode.CONSOLIDATE)


def test_a_new_job_is_queued(store: Store, job: Job) -> None:
    assert (job.state, job.mode, job.attempt, job.version) == ("queued", "consolidate", 1, None)
    assert (job.started_at, job.finished_at, job.progress) == (None, None, {})
    assert store.jobs.get(job.id) == job


def test_times_follow_from_the_states(store: Store, job: Job, clock: Clock) -> None:
    clock.advance(1)
    started = store.jobs.update(job.id, state=JobState.PREPARING)
    clock.advance(1)
    training = store.jobs.update(job.id, state=JobState.TRAINING)
    clock.advance(1)
    failed = store.jobs.update(job.id, state=JobState.FAILED, error="killed", hint="again")
    assert started.started_at == training.started_at == failed.started_at
    times = [job.created_at, failed.started_at, failed.finished_at]
    assert times == [f"2026-03-01T12:00:0{second}.000+00:00" for second in (0, 1, 3)]
    assert (failed.error, failed.hint) == ("killed", "again")


def test_the_end_of_a_job_is_told_once(store: Store, job: Job, clock: Clock) -> None:
    assert store.jobs.untold() == []
    with pytest.raises(Conflict):
        store.jobs.tell(job.id)
    ended = store.jobs.update(job.id, state=JobState.FAILED, error="killed")
    assert store.jobs.untold() == [ended]
    told = store.jobs.tell(job.id)
    assert store.jobs.untold() == []
    clock.advance(60)
    assert store.jobs.tell(job.id).told_at == told.told_at == "2026-03-01T12:00:00.000+00:00"


def test_who_cancels_a_job_need_not_be_told(store: Store, job: Job) -> None:
    store.jobs.update(job.id, state=JobState.CANCELLED)
    assert store.jobs.untold() == []


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.PAUSED, JobState.FAILED])
def test_an_end_is_final(store: Store, job: Job, state: JobState) -> None:
    ended = store.jobs.update(job.id, state=JobState.CANCELLED)
    with pytest.raises(Conflict, match=f"job {job.id} .*cancelled"):
        store.jobs.update(job.id, state=state, attempt=2)
    assert store.jobs.get(job.id) == ended
    assert store.jobs.unfinished() == []


def test_a_job_that_is_paused_before_it_begins_has_tried_nothing(
    store: Store, fill: Filler, job: Job
) -> None:
    fill.example("turn-1")
    paused = store.jobs.update(job.id, state=JobState.PAUSED, paused_for=PauseReason.USER)
    assert (paused.started_at, paused.tried_change) == (None, None)


def test_what_is_not_named_stays(store: Store, job: Job) -> None:
    store.jobs.update(job.id, progress={"step": 3})
    changed = store.jobs.update(job.id, report={"learned": 2})
    assert (changed.progress, changed.report, changed.state) == (
        {"step": 3},
        {"learned": 2},
        JobState.QUEUED,
    )


def test_jobs_are_listed_newest_first_and_unfinished_ones_oldest_first(store: Store) -> None:
    a, b, c = (store.jobs.create(BASE, Mode.CONSOLIDATE) for _ in range(3))
    done = store.jobs.update(b.id, state=JobState.CANCELLED)
    assert store.jobs.list() == [c, done, a]
    assert store.jobs.list(limit=1) == [c]
    assert store.jobs.unfinished() == [a, c]


def test_the_last_finished_job_is_the_one_that_ended_last(store: Store, clock: Clock) -> None:
    a, b = (store.jobs.create(BASE, Mode.CONSOLIDATE) for _ in range(2))
    assert store.jobs.last_finished() is None
    store.jobs.update(b.id, state=JobState.REJECTED)
    clock.advance(1)
    last = store.jobs.update(a.id, state=JobState.CANCELLED)
    assert store.jobs.last_finished() == last


def test_a_job_knows_the_changes_before_it_whatever_the_clock_says(
    store: Store, fill: Filler, clock: Clock
) -> None:
    fill.example("turn-1")
    job = store.jobs.create(BASE, Mode.CONSOLIDATE)
    clock.advance(-86400)
    store.jobs.update(job.id, state=JobState.PREPARING)
    tried = store.examples.newest_change()
    fill.example("turn-2")
    assert store.jobs.tried_change(BASE) == 0  # it has not ended
    store.jobs.update(job.id, state=JobState.REJECTED)
    assert store.jobs.tried_change(BASE) == tried < store.examples.newest_change()
    assert store.jobs.tried_change("another") == 0


def test_a_version_number_is_given_once_and_stays(store: Store) -> None:
    a, b = (store.jobs.create(BASE, Mode.CONSOLIDATE) for _ in range(2))
    assert [store.jobs.allocate_version(job.id) for job in (b, a, b)] == [1, 2, 1]
    store.jobs.update(a.id, state=JobState.FAILED)
    assert store.jobs.allocate_version(store.jobs.create(BASE, Mode.CONSOLIDATE).id) == 3


def test_unknown_jobs_are_named(store: Store) -> None:
    for act in (store.jobs.get, store.jobs.update, store.jobs.allocate_version):
        with pytest.raises(NotFound, match="no job 9"):
            act(9)


def test_an_ended_job_is_not_ended_again(store: Store, fill: Filler) -> None:
    version = fill.candidate()
    store.jobs.update(version.job_id, state=JobState.CANCELLED)
    with pytest.raises(Conflict, match=f"job {version.job_id} .*cancelled"):
        store.promote(version, {}, [])
    with pytest.raises(Conflict):
        store.reject(version.job_id, {}, [])
    assert store.versions.list() == []


def test_events_are_read_after_an_id_of_one_job_or_of_all(store: Store) -> None:
    a, b = (store.jobs.create(BASE, Mode.CONSOLIDATE) for _ in range(2))
    assert store.events.newest_id() == 0
    first = store.events.append(a.id, "state", {"state": "queued"})
    second = store.events.append(b.id, "progress", {"step": 1, "loss": 0.5})
    third = store.events.append(a.id, "progress", {"step": 2})
    assert store.events.after(0) == [first, second, third]
    assert store.events.after(first.id, job_id=a.id) == [third]
    assert store.events.after(third.id) == []
    assert store.events.newest_id() == third.id


def test_of_an_ended_job_the_states_and_the_newest_progress_of_each_step_are_kept(
    store: Store, job: Job
) -> None:
    other = store.jobs.create(BASE, Mode.CONSOLIDATE)
    gone = [
        store.events.append(job.id, "progress", {"stage": "training", "step": 1}),  # cut off
        store.events.append(job.id, "progress", {"stage": "judging", "fraction": 0.5}),
    ]
    kept = [
        store.events.append(job.id, "state", {"state": "training"}),
        store.events.append(job.id, "progress", {"stage": "training", "step": 1}),
        store.events.append(job.id, "progress", {"stage": "training", "step": 2}),
        store.events.append(job.id, "progress", {"stage": "judging", "fraction": 1.0}),
        store.events.append(job.id, "state", {"state": "cancelled"}),
        *(store.events.append(other.id, "progress", {"fraction": n / 2}) for n in range(2)),
    ]
    assert store.events.after(0) == gone + kept
    store.events.thin_out(job.id)
    assert store.events.after(0) == kept


def test_a_job_keeps_the_stage_where_it_was(store: Store, job: Job) -> None:
    assert job.stage is None
    store.jobs.update(job.id, state=JobState.TRAINING)
    paused = store.jobs.update(job.id, state=JobState.PAUSED, paused_for=PauseReason.POLICY)
    assert (paused.stage, paused.paused_for) == (JobState.TRAINING, PauseReason.POLICY)
    assert store.jobs.update(job.id, state=JobState.FAILED).stage is JobState.TRAINING


def test_progress_is_a_sign_of_life(store: Store, job: Job, clock: Clock) -> None:
    assert job.heartbeat_at is None
    store.jobs.update(job.id, state=JobState.TRAINING)
    clock.advance(5)
    store.jobs.update(job.id, progress={"step": 1})
    clock.advance(5)
    paused = store.jobs.update(job.id, state=JobState.PAUSED)
    assert paused.heartbeat_at == "2026-03-01T12:00:05.000+00:00"


def test_what_was_tried_is_kept(store: Store, job: Job) -> None:
    tried = [Tried(JobState.TRAINING, "out of memory", "signal 9", {"divided": 2}, "half")]
    assert store.jobs.update(job.id, attempt=2, tried=tried).tried == tried
