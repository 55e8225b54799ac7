"""What every fault test uses: someone who talks meanwhile, and what must hold afterwards.

`SHAMMAH_FAULTS` is the number of points at which each kind of fault strikes; `scripts/faults` sets
it for the long run.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from shammah.client import Client
from shammah.errors import Conflict, DaemonUnreachable, EngineError, StorageError
from shammah.files import PARTIAL, sha256_of
from shammah.protocol import JobView
from shammah.records import JobState, Level
from tests.asking import answered, correct, finished, user
from tests.running import TINY_LESSON, Daemon, wait_for

EVERY_DAY = 3
POINTS = int(os.environ.get("SHAMMAH_FAULTS", EVERY_DAY))
SEED = 20260301

#: What looks like one is kept, and held back from lessons: these stay short, however much is said.
SECRET = "AKIAIOSFODNN7EXAMPLE"

SETTINGS = TINY_LESSON | {"SHAMMAH_LEARNING__THRESHOLD_EXAMPLES": "1000"}


@dataclass
class Talker:
    """Asks and gives feedback until it is told to stop, and remembers what was acknowledged."""

    daemon: Daemon
    acknowledged: dict[int, str] = field(default_factory=dict)  # example id: target
    unexpected: list[Exception] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    rest_seconds: float = 0.02  # between two turns

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
                    self._correct(client, f"target {id(self)} {number} {SECRET}")
            except (DaemonUnreachable, EngineError, StorageError):
                time.sleep(0.05)  # struck: what was not acknowledged may be lost
            except Exception as error:
                self.unexpected.append(error)
                return
            time.sleep(self.rest_seconds)

    def _correct(self, client: Client, target: str) -> None:
        chunks = list(client.chat_stream(user(f"what about {target}"), max_tokens=20))
        receipt = client.feedback(Level.CRITICAL, chunks[0].id, correction=target)
        self.acknowledged[receipt.example_id] = target


def ensure_job(client: Client) -> int:
    """An unfinished job with something to teach."""
    try:
        return client.train().id
    except Conflict:
        correct(client, 0)
        return client.train().id


def ended(daemon: Daemon, job_id: int) -> JobView:
    """The job, when it has come to its end."""
    with daemon.client as client:
        return finished(client, job_id)


def integrity(database: Path) -> str:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def check_all_is_there(daemon: Daemon, acknowledged: dict[int, str]) -> None:
    """Every acknowledged example, a whole database, one active version, which answers, whose files
    are as its manifest says."""
    with daemon.client as client:
        stored = {example.id: example.target for example in client.examples()}
        assert acknowledged.items() <= stored.items()
        answer = answered(client, "Are you there?", 4)
        [active] = [version.number for version in client.versions() if version.active]
        assert answer.shammah.version == client.status().active_version == active
        for version in client.versions():
            if version.pruned_at:
                continue
            folder = daemon.paths.version(version.number)
            for name, digest in version.manifest.get("files", {}).items():
                assert sha256_of(folder / name) == digest
    assert integrity(daemon.paths.database) == "ok"


def check_jobs_have_ended_well(daemon: Daemon, failures: tuple[str, ...] = ()) -> None:
    """Every job comes to its end; one that failed says why, in one of these words; each promoted
    one made one version, which has its files or was pruned, and nothing is left under
    construction."""
    with daemon.client as client:
        jobs = [finished(client, job.id) for job in client.jobs()]
        for job in jobs:
            assert job.state.is_final
            if job.state is JobState.FAILED:
                assert any(word in (job.error or "") for word in failures), job
        versions = [version for version in client.versions() if version.number]
        promoted = {job.id for job in jobs if job.state is JobState.PROMOTED}
        assert sorted(version.job_id or 0 for version in versions) == sorted(promoted)

        def each_kept_one_has_its_folder() -> bool:
            kept = {v.number for v in client.versions() if v.number and not v.pruned_at}
            return {int(folder.name) for folder in daemon.paths.versions.iterdir()} == kept

        wait_for(each_kept_one_has_its_folder)  # a moment after the last promotion
    assert list(daemon.paths.data_dir.rglob("*" + PARTIAL)) == []
