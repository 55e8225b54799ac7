"""A version is made, promoted and rolled back under a real daemon, on the tiny model."""

from __future__ import annotations

import errno
import time
from pathlib import Path

import pytest

from shammah.client import Client
from shammah.files import sha256_of
from shammah.protocol import JobEvent
from shammah.records import JobState, Level, Mode, PauseReason
from tests.asking import TARGET, Listener, answers, case, correct, finished, user
from tests.conftest import StartDaemon
from tests.running import ALONE, Daemon, wait_for
from tests.versions import Taught

CASES = range(3)

#: What may stay of a finished job.
KEPT_FILES = {"job.json", "log.jsonl", "report.json", "train.json", "tensorboard"}


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> Daemon:
    return start_daemon(ALONE)


@pytest.fixture
def taught_daemon(moved_in: Taught, start_daemon: StartDaemon) -> Daemon:
    """It serves version 1, taught all cases."""
    return start_daemon(ALONE)


def test_no_stream_is_cut_or_mixed_while_a_version_is_promoted(
    daemon: Daemon, client: Client
) -> None:
    correct(client, *CASES)
    job = client.train()
    listeners = [Listener(lambda: daemon.client, case(number)) for number in CASES[:2]]
    promoted_at = 0.0
    for event in client.job_events(job.id):
        if event.data.get("state") == "judging":
            for listener in listeners:
                listener.start()
        if event.data.get("state") == "promoted":
            promoted_at = time.monotonic()
    wait_for(lambda: all(one.problem or one.began[-1] > promoted_at for one in listeners))
    for listener in listeners:
        listener.stop()

    assert promoted_at
    for listener in listeners:
        assert listener.problem is None
        versions = []
        for chunks in listener.answers:
            [info] = [chunk.info for chunk in chunks if chunk.info]
            [ending] = [chunk.finish_reason for chunk in chunks if chunk.finish_reason]
            versions.append(info.version)
            text = "".join(chunk.text for chunk in chunks)
            # Every answer is wholly its version's: what was taught, or noise to the limit, which
            # depends on what else is in its batch.
            if info.version == 1:
                assert (text, ending) == (TARGET, "stop")
            else:
                assert ending == "length"
                assert set(text.split()).isdisjoint(TARGET.split())
        assert versions == sorted(versions)
        assert {0, 1} == set(versions)
        later = [
            v for v, began in zip(versions, listener.began, strict=False) if began > promoted_at
        ]
        assert later
        assert set(later) == {1}


def test_rollback_brings_the_previous_answers_back(moved_in: Taught, taught_daemon: Daemon) -> None:
    before = moved_in.before
    with taught_daemon.client as client:
        job = client.job(1)
        assert (job.state, job.version) == (JobState.PROMOTED, 1)
        assert answers(client) == [TARGET] * 3
        assert client.rollback().number == 0
        assert answers(client) == before
        assert client.rollback(1).number == 1
        assert answers(client) == [TARGET] * 3
        client.rollback(0)
    taught_daemon.stop()
    taught_daemon.start()
    with taught_daemon.client as again:
        assert answers(again) == before
        assert again.status().active_version == 0


def test_a_version_is_whole_and_says_what_it_was_made_of(taught_daemon: Daemon) -> None:
    folder = taught_daemon.paths.version(1)
    with taught_daemon.client as client:
        version = client.version(1)
        hashes = version.manifest["files"]
        assert {name: sha256_of(folder / name) for name in hashes} == hashes
        assert {"adapter.gguf", "adapter/adapter_model.safetensors", "model-Q8_0.gguf"} <= set(
            hashes
        )
        assert version.active
        assert version.sha256 == hashes["model-Q8_0.gguf"]
        assert [item["id"] for item in version.manifest["job"]["examples"]] == [1, 2, 3]
        assert version.report["passed"]
        kept = version.report["kept"]
        assert kept == dict.fromkeys(kept, pytest.approx(1, abs=0.1))
        assert {"q_proj", "k_proj", "down_proj"} < set(kept)
        faithful = version.report["checks"][-1]
        assert faithful["name"] == "faithful"
        assert "nats a token" in faithful["detail"]
        assert client.job(1).summary == "learned 3 of 3. Version 1 answers now."
        assert {path.name for path in taught_daemon.paths.job(1).iterdir()} <= KEPT_FILES
        assert client.status().waiting == 0
        assert all(one.taught and one.verdict == "learned" for one in client.examples())


def test_the_events_of_a_job_tell_every_stage(taught_home: Taught) -> None:
    events = taught_home.events
    states = [event.data["state"] for event in events if event.kind == "state"]
    assert states == [
        "queued",
        "preparing",
        "training",
        "merging",
        "quantizing",
        "judging",
        "promoted",
    ]
    training = [e for e in events if e.data.get("stage") == "training"]
    assert {"step", "steps", "loss", "tokens_per_second", "seconds_left"} <= set(training[-1].data)
    assert [event.id for event in events] == sorted({event.id for event in events})


def test_the_threshold_starts_a_lesson_by_itself(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(ALONE | {"SHAMMAH_LEARNING__THRESHOLD_EXAMPLES": "3"})
    with daemon.client as client:
        correct(client, *CASES)
        [job] = client.jobs()
        assert client.train().id == job.id  # the same lesson, not another one
        job = finished(client, job.id)
        # The mode that is set is quick, but there is no adapter to go on from.
        assert (job.mode, job.state) == (Mode.CONSOLIDATE, JobState.PROMOTED)


def test_a_rejected_lesson_says_why_and_the_active_version_stays(
    start_daemon: StartDaemon,
) -> None:
    daemon = start_daemon(ALONE | {"SHAMMAH_GATE__MAX_KL": "0.001"})
    with daemon.client as client:
        before = answers(client)
        correct(client, *CASES)
        job = finished(client, client.train().id)
        assert job.state is JobState.REJECTED
        assert "KL to the base" in job.summary
        assert job.report is not None
        tried = [(attempt["quantization"], attempt["scale"]) for attempt in job.report["attempts"]]
        assert tried == [("Q8_0", 1.0), ("Q8_0", 0.75), ("Q8_0", 0.5)]
        assert {path.name for path in daemon.paths.job(job.id).iterdir()} <= KEPT_FILES
        assert client.status().active_version == 0
        assert not daemon.paths.version(1).exists()
        assert answers(client) == before


def test_earlier_examples_are_compared_with_what_the_gate_found_of_the_active_version(
    taught_daemon: Daemon,
) -> None:
    with taught_daemon.client as client:
        first = client.job(1)
        answer = client.chat(user("and one more thing"), max_tokens=2)
        client.feedback(Level.CRITICAL, answer.id, correction=TARGET)
        second = finished(client, client.train(Mode.CONSOLIDATE).id)
    assert first.report is not None
    assert second.report is not None
    after = {v["example_id"]: v["nll_after"] for v in first.report["verdicts"]}
    earlier = [v for v in second.report["verdicts"] if not v["new"]]
    assert {v["example_id"]: v["nll_before"] for v in earlier} == after
    assert all(v["held_before"] == [True] * 4 for v in earlier)


def test_a_cancelled_job_promotes_nothing_and_can_be_queued_anew(
    daemon: Daemon, client: Client
) -> None:
    correct(client, *CASES)
    job = client.train()
    for event in client.job_events(job.id):
        if event.data.get("state") == "training":
            break
    cancelled = client.cancel_job(job.id)
    assert cancelled.state is JobState.CANCELLED
    assert daemon.children("shammah.training") == []
    assert finished(client, client.train().id).state is JobState.PROMOTED


def test_feedback_during_a_job_waits_for_the_next_one(client: Client) -> None:
    correct(client, *CASES)
    job = client.train()
    for event in client.job_events(job.id):
        if event.data.get("state") == "training":
            answer = client.chat(user("and one more thing"), max_tokens=6)
            receipt = client.feedback(Level.MEDIUM, answer.id, correction=TARGET)
            assert "in the next" in receipt.message
    assert client.status().waiting == 1
    following = finished(client, client.train().id)
    assert (following.id, following.state) == (job.id + 1, JobState.PROMOTED)
    assert client.status().waiting == 0


@pytest.fixture
def full_disk(tmp_path: Path) -> Path:
    """A folder that, put first on the module path, fills the disk when a version is built."""
    program = f"""
import os

def link(source, target, *arguments, **options):
    if "versions" in str(target) and not os.path.exists(__file__ + ".freed"):
        raise OSError({errno.ENOSPC}, "No space left on device", str(target))
    return original(source, target, *arguments, **options)

original, os.link = os.link, link
import shutil
shutil.copy2 = link
"""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "sitecustomize.py").write_text(program)
    return tmp_path / "full"


def test_a_full_disk_makes_a_promotion_wait_and_the_active_model_serves(
    start_daemon: StartDaemon, full_disk: Path
) -> None:
    daemon = start_daemon(ALONE | {"PYTHONPATH": str(full_disk)})
    with daemon.client as client:
        before = answers(client)
        correct(client, *CASES)
        job = client.train()
        for event in client.job_events(job.id):
            if event.data.get("state") == JobState.PAUSED:
                break
        job = client.job(job.id)
        assert (job.state, job.paused_for) == (JobState.PAUSED, PauseReason.SPACE)
        assert list(daemon.paths.versions.iterdir()) == []
        assert answers(client) == before
        assert len(client.examples()) == 3
        (full_disk / "sitecustomize.py.freed").touch()
        assert finished(client, job.id).state is JobState.PROMOTED
        assert answers(client) == [TARGET] * 3


def test_a_job_goes_on_after_the_daemon_was_stopped(daemon: Daemon, client: Client) -> None:
    correct(client, *CASES)
    job = client.train()
    events: list[JobEvent] = []
    for event in client.job_events(job.id):
        events.append(event)
        if event.data.get("stage") == "training":
            break
    daemon.stop()
    daemon.start()
    with daemon.client as again:
        assert finished(again, job.id).state is JobState.PROMOTED
        assert answers(again) == [TARGET] * 3
