"""Homes with versions that no job has taught: other tiny models in their place."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from shammah.files import sha256_of
from shammah.paths import Paths
from shammah.records import Mode, Version
from shammah.store.database import Store
from tests.running import TINY


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
