"""SIGKILL at random moments, under chat and feedback: what was acknowledged is there afterwards."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from shammah.client import Client
from shammah.errors import Conflict, DaemonUnreachable, EngineError
from shammah.records import JobState, Level, Message
from tests.conftest import StartDaemon
from tests.running import TINY_LESSON, Daemon, kill_process

KILLS = 10
SEED = 20260301
WAIT_SECONDS = 120.0

#: States in which a job has its candidate, or is done.
LATE = frozenset({JobState.QUANTIZING, JobState.JUDGING, JobState.PROMOTED})
LATE_KILLS = 4

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    # httpcore leaves the socket of a refused connection to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SETTINGS = TINY_LESSON | {"SHAMMAH_LEARNING__THRESHOLD_EXAMPLES": "1000"}


@dataclass
class Talker:
    """Asks and gives feedback until it is told to stop, and remembers what was acknowledged."""

    daemon: Daemon
    acknowledged: dict[int, str] = field(default_factory=dict)  # example id: target
    unexpected: list[Exception] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Talker:
        self._thread = threading.Thread(target=self._talk)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self._thread.join()

    def _talk(self) -> None:
        number = 0
        while not self.done.is_set():
            number += 1
            try:
                with self.daemon.client as client:
                    self._correct(client, f"target {id(self)} {number}")
            except (DaemonUnreachable, EngineError):
                time.sleep(0.05)  # killed: what was not acknowledged may be lost
            except Exception as error:
                self.unexpected.append(error)
                return
            time.sleep(0.02)

    def _correct(self, client: Client, target: str) -> None:
        question = [Message(role="user", content=f"what about {target}")]
        chunks = list(client.chat_stream(question, max_tokens=20))
        receipt = client.feedback(Level.CRITICAL, chunks[0].id, correction=target)
        self.acknowledged[receipt.example_id] = target


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> Daemon:
    return start_daemon(SETTINGS)


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Randomness that a failure can be repeated with."""
    print(f"{request.node.name}: seed {SEED}")
    return random.Random(f"{SEED} {request.node.name}")


def ensure_job(client: Client) -> int:
    """An unfinished job with something to teach."""
    try:
        return client.train().id
    except Conflict:
        question = [Message(role="user", content="what do we do")]
        answer = client.chat(question, max_tokens=6)
        client.feedback(Level.CRITICAL, answer.id, correction="yes we agree indeed")
        return client.train().id


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def integrity(database: Path) -> str:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def check_all_is_there(daemon: Daemon, talker: Talker) -> None:
    """Every acknowledged example, a whole database, and an answer of the active version."""
    assert talker.unexpected == []
    with daemon.client as client:
        stored = {example.id: example.target for example in client.examples()}
        assert talker.acknowledged.items() <= stored.items()
        question = [Message(role="user", content="Are you there?")]
        answer = client.chat(question, max_tokens=4)
        assert answer.shammah.version == client.status().active_version
    assert integrity(daemon.paths.database) == "ok"


def check_jobs_end_with_a_reason(daemon: Daemon) -> None:
    """Every job comes to its end, one that failed says why, and only versions have folders."""
    with daemon.client as client:
        for job in client.jobs():
            for _ in client.job_events(job.id):
                pass
            ended = client.job(job.id)
            assert ended.state.is_final
            if ended.state is JobState.FAILED:
                assert "signal 9" in (ended.error or "")
        versions = [version.number for version in client.versions() if version.number]
        assert sorted(int(f.name) for f in daemon.paths.versions.iterdir()) == sorted(versions)


def test_a_killed_engine_loses_nothing(daemon: Daemon, chance: random.Random) -> None:
    with daemon.client as client, Talker(daemon) as talker:
        ensure_job(client)
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.0, 1.5))
            wait_for(lambda: daemon.children("shammah.engine"))
            kill_process(chance.choice(daemon.children("shammah.engine")))
    check_all_is_there(daemon, talker)
    check_jobs_end_with_a_reason(daemon)


def test_a_killed_job_child_loses_nothing(daemon: Daemon, chance: random.Random) -> None:
    modules = ("shammah.training", "shammah.publish")

    def at_work() -> list[psutil.Process]:
        return daemon.children(*modules)

    acknowledged: dict[int, str] = {}
    kills = 0
    with daemon.client as client:
        while kills < KILLS:
            ensure_job(client)
            wait_for(at_work)
            time.sleep(chance.uniform(0.0, 3.0))
            with Talker(daemon, acknowledged) as talker:
                before = len(acknowledged)
                wait_for(lambda: len(acknowledged) > before)  # noqa: B023
                for child in at_work():
                    kill_process(child)
                    kills += 1
    check_all_is_there(daemon, talker)
    check_jobs_end_with_a_reason(daemon)


def test_a_killed_daemon_loses_nothing(daemon: Daemon, chance: random.Random) -> None:
    with daemon.client as client:
        ensure_job(client)
    with Talker(daemon) as talker:
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.0, 3.0))
            daemon.kill()
            assert integrity(daemon.paths.database) == "ok"
            acknowledged = dict(talker.acknowledged)
            daemon.start()
            with daemon.client as client:
                stored = {example.id: example.target for example in client.examples()}
            assert acknowledged.items() <= stored.items()
    check_all_is_there(daemon, talker)
    check_jobs_end_with_a_reason(daemon)


def test_a_daemon_killed_while_it_judges_and_promotes_ends_the_job_all_the_same(
    daemon: Daemon, chance: random.Random
) -> None:
    with daemon.client as client:
        job_id = ensure_job(client)
    for _ in range(LATE_KILLS):
        with daemon.client as client:
            wait_for(lambda: client.job(job_id).state in LATE)
        time.sleep(chance.uniform(0.0, 0.8))
        daemon.kill()
        daemon.start()
    with daemon.client as client:
        for _ in client.job_events(job_id):
            pass
        assert client.job(job_id).state is JobState.PROMOTED
        assert client.status().active_version == 1
        assert [version.number for version in client.versions()] == [1, 0]
    assert integrity(daemon.paths.database) == "ok"
