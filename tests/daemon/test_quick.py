"""Quick lessons under a real daemon, on the tiny model: they go on from the active adapter."""

from __future__ import annotations

import json
import time

import pytest

from shammah.client import Client
from shammah.protocol import JobView
from shammah.records import JobState, Level, Mode
from tests.asking import text_of, user
from tests.conftest import StartDaemon
from tests.running import TINY_LESSON, Daemon, kill_process

TARGET = "yes we agree indeed"

#: Room for about two earlier examples; the judge asks one.
SETTINGS = TINY_LESSON | {
    "SHAMMAH_LEARNING__QUICK_SAMPLE_TOKENS": "90",
    "SHAMMAH_GATE__QUICK_EARLIER": "1",
}

#: What a quick job does, and how a child of that stage is recognised.
STAGES = {
    JobState.TRAINING: "shammah.training",
    JobState.MERGING: "shammah.publish",
    JobState.QUANTIZING: "shammah.publish",
    JobState.JUDGING: "shammah.engine",
}


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> Daemon:
    return start_daemon(SETTINGS)


def correct(client: Client, *numbers: int) -> None:
    """Correct part of an answer: after the first lesson the whole would be right already."""
    for number in numbers:
        answer = client.chat(user(f"what do we do about case {number} then"), max_tokens=2)
        client.feedback(Level.CRITICAL, answer.id, correction=TARGET)


def finished(client: Client, job_id: int) -> JobView:
    for _ in client.job_events(job_id):
        pass
    return client.job(job_id)


def taught_once(client: Client) -> None:
    """Version 1, taught five examples."""
    correct(client, *range(5))
    assert finished(client, client.train().id).state is JobState.PROMOTED


def test_a_quick_lesson_goes_on_from_the_active_version(client: Client) -> None:
    taught_once(client)
    correct(client, 5)
    job = finished(client, client.train(Mode.QUICK).id)
    assert (job.mode, job.state, job.version) == (Mode.QUICK, JobState.PROMOTED, 2)
    manifest = client.version(2).manifest["job"]
    assert manifest["start_version"] == 1
    by_id = {example["id"]: example for example in manifest["examples"]}
    assert [number for number, example in by_id.items() if example["new"]] == [6]
    assert by_id[6]["trained"]
    assert by_id[6]["judged"]
    assert 1 <= sum(example["trained"] for example in by_id.values()) - 1 < 5
    said = client.version(2).report["warnings"]
    assert "1 of 5 earlier examples were asked, a sample" in said
    assert client.status().waiting == 0
    assert all(example.taught for example in client.examples())
    assert text_of(client.chat(user("what do we do about case 0 then"), max_tokens=30)) == TARGET


def test_the_first_quick_lesson_consolidates(client: Client) -> None:
    correct(client, 0)
    job = finished(client, client.train(Mode.QUICK).id)
    assert (job.mode, job.state) == (Mode.CONSOLIDATE, JobState.PROMOTED)


def test_after_an_example_was_forgotten_the_next_lesson_consolidates(client: Client) -> None:
    taught_once(client)
    client.forget(1)
    correct(client, 5)
    job = finished(client, client.train(Mode.QUICK).id)
    assert (job.mode, job.state) == (Mode.CONSOLIDATE, JobState.PROMOTED)
    assert [e["id"] for e in client.version(2).manifest["job"]["examples"]] == [2, 3, 4, 5, 6]


@pytest.mark.parametrize("mode", [Mode.QUICK, Mode.CONSOLIDATE])
def test_the_threshold_starts_the_mode_that_is_set(start_daemon: StartDaemon, mode: Mode) -> None:
    daemon = start_daemon(
        SETTINGS
        | {
            "SHAMMAH_LEARNING__THRESHOLD_EXAMPLES": "2",
            "SHAMMAH_LEARNING__THRESHOLD_MODE": mode,
        }
    )
    with daemon.client as client:
        for number in (0, 2):
            correct(client, number, number + 1)
            job = finished(client, client.jobs()[0].id)
            assert job.state is JobState.PROMOTED, job
        assert [job.mode for job in client.jobs()] == [mode, Mode.CONSOLIDATE]
        assert client.status().active_version == 2


def test_an_adapter_is_gone_on_with_in_its_own_shape(daemon: Daemon, client: Client) -> None:
    taught_once(client)
    rank = client.version(1).manifest["job"]["recipe"]["rank"]
    daemon.stop()
    daemon.settings = daemon.settings | {"SHAMMAH_LEARNING__RANK": str(rank // 2)}
    daemon.start()
    with daemon.client as again:
        correct(again, 5)
        assert finished(again, again.train(Mode.QUICK).id).state is JobState.PROMOTED
        assert again.version(2).manifest["job"]["recipe"]["rank"] == rank
        assert finished(again, again.train().id).state is JobState.PROMOTED
        assert again.version(3).manifest["job"]["recipe"]["rank"] == rank // 2


@pytest.mark.slow
def test_a_quick_job_killed_in_every_stage_comes_to_its_end(daemon: Daemon, client: Client) -> None:
    """Each stage's child once, then the daemon itself, as soon as the stage has begun."""
    taught_once(client)
    correct(client, 5)
    job_id = client.train(Mode.QUICK).id
    for state in (JobState.TRAINING, JobState.JUDGING):
        _wait_for(daemon, job_id, state)
        for child in daemon.children(STAGES[state]):
            kill_process(child)
    for state in STAGES:
        _wait_for(daemon, job_id, state)
        daemon.kill()
        daemon.start()
    with daemon.client as again:
        job = finished(again, job_id)
        assert (job.state, job.version) == (JobState.PROMOTED, 2), job.error
        assert again.version(2).manifest["job"]["start_version"] == 1
        assert text_of(again.chat(user("what do we do about case 5 then"), max_tokens=30)) == TARGET
    lines = (daemon.paths.job(job_id) / "log.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == list(range(1, len(steps) + 1))


def _wait_for(daemon: Daemon, job_id: int, state: JobState) -> None:
    """Until the job is in `state`, or past it."""
    reached = list(STAGES)[list(STAGES).index(state) :]
    with daemon.client as client:
        while True:
            now = client.job(job_id).state
            if now in reached or now.is_final:
                return
            time.sleep(0.01)
