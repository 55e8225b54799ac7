"""Quick lessons under a real daemon, on the tiny model: they go on from the active adapter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shammah.client import Client
from shammah.paths import Paths
from shammah.records import JobState, Mode
from shammah.training.spec import JobSpec
from shammah_daemon.lesson import QUICK_RATE
from tests.asking import TARGET, answered, answers, case, correct, finished, text_of
from tests.conftest import StartDaemon
from tests.running import TINY_LESSON, Daemon, copy_home, kill_process, wait_for
from tests.versions import Taught, taught

#: Room for about two earlier examples; the judge asks one.
SETTINGS = TINY_LESSON | {
    "SHAMMAH_LEARNING__QUICK_SAMPLE_TOKENS": "90",
    "SHAMMAH_GATE__QUICK_EARLIER": "1",
}

#: What a quick job does, one after the other.
STAGES = (
    JobState.PREPARING,
    JobState.TRAINING,
    JobState.MERGING,
    JobState.QUANTIZING,
    JobState.JUDGING,
)

#: Stages whose children are killed too, and how these are recognised.
CHILDREN = {JobState.TRAINING: "shammah.training", JobState.JUDGING: "shammah.engine"}


@pytest.fixture(scope="module")
def taught_five(tmp_path_factory: pytest.TempPathFactory, tiny_ground: Path) -> Taught:
    """Version 1, taught five examples."""
    return taught(tmp_path_factory.mktemp("five"), tiny_ground, 5)


@pytest.fixture
def start(home: Paths, taught_five: Taught, start_daemon: StartDaemon) -> StartDaemon:
    """Starts the daemon in a home where a lesson has made version 1."""
    copy_home(taught_five.home, home)
    return start_daemon


@pytest.fixture
def daemon(start: StartDaemon) -> Daemon:
    return start(SETTINGS)


def test_a_quick_lesson_goes_on_from_the_active_version(client: Client) -> None:
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
    assert answers(client, 1) == [TARGET]


def test_the_first_quick_lesson_consolidates(start_daemon: StartDaemon) -> None:
    with start_daemon(SETTINGS).client as client:
        correct(client, 0)
        job = finished(client, client.train(Mode.QUICK).id)
    assert (job.mode, job.state) == (Mode.CONSOLIDATE, JobState.PROMOTED)


def test_after_an_example_was_forgotten_the_next_lesson_consolidates(client: Client) -> None:
    client.forget(1)
    correct(client, 5)
    job = finished(client, client.train(Mode.QUICK).id)
    assert (job.mode, job.state) == (Mode.CONSOLIDATE, JobState.PROMOTED)
    assert [e["id"] for e in client.version(2).manifest["job"]["examples"]] == [2, 3, 4, 5, 6]


@pytest.mark.parametrize("mode", [Mode.QUICK, Mode.CONSOLIDATE])
def test_the_threshold_starts_the_mode_that_is_set(start: StartDaemon, mode: Mode) -> None:
    daemon = start(
        SETTINGS
        | {
            "SHAMMAH_LEARNING__THRESHOLD_EXAMPLES": "2",
            "SHAMMAH_LEARNING__THRESHOLD_MODE": mode,
        }
    )
    with daemon.client as client:
        correct(client, 5, 6)
        job = finished(client, client.jobs()[0].id)
        assert job.state is JobState.PROMOTED, job
        assert [job.mode for job in client.jobs()] == [mode, Mode.CONSOLIDATE]
        assert client.status().active_version == 2


def test_an_adapter_is_gone_on_with_in_its_own_shape(daemon: Daemon, client: Client) -> None:
    rank = client.version(1).manifest["job"]["recipe"]["rank"]
    daemon.stop()
    daemon.settings = daemon.settings | {"SHAMMAH_TRAINING__RANK": str(rank // 2)}
    daemon.start()
    with daemon.client as again:
        correct(again, 5)
        assert finished(again, again.train(Mode.QUICK).id).state is JobState.PROMOTED
        assert again.version(2).manifest["job"]["recipe"]["rank"] == rank
        assert finished(again, again.train().id).state is JobState.PROMOTED
        assert again.version(3).manifest["job"]["recipe"]["rank"] == rank // 2


def test_a_quick_lesson_takes_half_of_the_rate_that_suits_the_base(
    daemon: Daemon, client: Client
) -> None:
    correct(client, 5)
    rates = {}
    for mode in (Mode.QUICK, Mode.CONSOLIDATE):
        job = client.train(mode, options={"learning_rate": 0, "epochs": 1})
        assert finished(client, job.id).mode is mode
        rates[mode] = JobSpec.load(daemon.paths.job(job.id) / "job.json").recipe.learning_rate
    assert rates[Mode.QUICK] == QUICK_RATE * rates[Mode.CONSOLIDATE] > 0


@pytest.mark.slow
def test_a_quick_job_killed_in_every_stage_comes_to_its_end(daemon: Daemon, client: Client) -> None:
    """The daemon as soon as a stage has begun, and in two stages the child before it."""
    correct(client, 5)
    job_id = client.train(Mode.QUICK).id
    for stage in STAGES:
        _wait_until(daemon, job_id, stage)
        if stage in CHILDREN:
            _kill_children(daemon, CHILDREN[stage])
        daemon.kill()
        daemon.start()
    with daemon.client as again:
        job = finished(again, job_id)
        assert (job.state, job.version) == (JobState.PROMOTED, 2), job.error
        assert again.version(2).manifest["job"]["start_version"] == 1
        assert text_of(answered(again, case(5), 30)) == TARGET
    lines = (daemon.paths.job(job_id) / "log.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == list(range(1, len(steps) + 1))


def _wait_until(daemon: Daemon, job_id: int, stage: JobState) -> None:
    """Until the job is in `stage`, or past it."""
    reached = STAGES[STAGES.index(stage) :]
    with daemon.client as client:
        wait_for(lambda: (now := client.job(job_id).state) in reached or now.is_final)


def _kill_children(daemon: Daemon, module: str) -> None:
    """Until the daemon has noticed, and others take their place."""
    for child in wait_for(lambda: daemon.children(module)):
        kill_process(child)
    wait_for(lambda: daemon.children(module))
