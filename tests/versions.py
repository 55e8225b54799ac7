"""Homes with versions: one that a lesson has made, or other tiny models that no job has taught."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from shammah.files import sha256_of
from shammah.paths import Paths
from shammah.protocol import JobEvent
from shammah.records import Mode, Version
from shammah.store.database import Store
from tests.asking import answers, correct
from tests.running import ALONE, TINY, serving_tiny


@dataclass(frozen=True)
class Taught:
    """A home whose daemon has promoted version 1 and ended, to be copied."""

    home: Paths
    before: list[str]  # what the base had answered to the cases
    events: list[JobEvent]  # of the lesson, as they came


def taught(folder: Path, ground: Path, cases: int) -> Taught:
    """Version 1 of the tiny base, taught so many cases."""
    with serving_tiny(folder, ground, ALONE) as daemon:
        with daemon.client as client:
            before = answers(client, cases)
            correct(client, *range(cases))
            lesson = client.train()
            events = list(client.job_events(lesson.id))
            assert client.status().active_version == 1, client.job(lesson.id).summary
        daemon.stop()
    return Taught(daemon.paths, before, events)


def promote(paths: Paths, ggufs: Sequence[Path]) -> None:
    """Record each file as a version of the tiny base, in order; the last one is active."""
    with closing(Store.open(paths.database)) as store:
        for gguf in ggufs:
            job = store.jobs.create(TINY, Mode.CONSOLIDATE)
            number = store.jobs.allocate_version(job.id)
            folder = paths.version(number)
            folder.mkdir()
            os.link(gguf, folder / "model-Q8_0.gguf")
            version = Version(
                number=number,
                base=TINY,
                job_id=job.id,
                quantization="Q8_0",
                gguf="model-Q8_0.gguf",
                sha256=sha256_of(gguf),
                size_bytes=gguf.stat().st_size,
                created_at="2026-03-01T12:00:00.000+00:00",
                manifest={},
                report={"summary": "learned 0 of 0", "verdicts": [], "kl_mean": 0.0},
            )
            store.promote(version, {}, [])
