"""What is done for a lesson before it starts, on the tiny model, most of it under a real daemon."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import cast

import pytest

from shammah.config import EngineConfig
from shammah.engine.requests import Sampling
from shammah.gate.measure import measure_targets
from shammah.records import Active, Example, ExampleStatus, JobState, Level
from shammah_daemon.anticipation import Anticipation
from shammah_daemon.bases import Bases
from shammah_daemon.courtesy import Courtesy
from shammah_daemon.lesson import cases_of
from shammah_daemon.serving import Serving
from shammah_daemon.stages import Stages
from tests.asking import TARGET, correct, user
from tests.conftest import StartDaemon
from tests.daemon.test_serving import servable_of
from tests.running import TINY_LESSON, Daemon, until, wait_for

SETTINGS = TINY_LESSON | {"SHAMMAH_LEARNING__THRESHOLD_EXAMPLES": "2"}


def trainers(daemon: Daemon) -> set[int]:
    return {child.pid for child in daemon.children("shammah.training")}


def test_the_base_is_loaded_when_one_more_correction_starts_a_lesson(
    start_daemon: StartDaemon,
) -> None:
    daemon = start_daemon(SETTINGS)
    with daemon.client as client:
        correct(client, 1)
        waiting = wait_for(lambda: trainers(daemon))
        assert client.jobs() == []
        correct(client, 2)
        [job] = client.jobs()
        seen = set()
        for _event in client.job_events(job.id):
            seen |= trainers(daemon)
        assert client.job(job.id).state is JobState.PROMOTED
    assert seen == waiting


def test_a_daemon_that_stops_leaves_no_child_waiting(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(SETTINGS)
    with daemon.client as client:
        correct(client, 1)
        wait_for(lambda: trainers(daemon))
    children = daemon.children("shammah.training")
    daemon.stop()
    assert not any(child.is_running() for child in children)


EXAMPLE = Example(
    id=1, turn_id="turn", feedback_id=1, status=ExampleStatus.READY, level=Level.CRITICAL,
    weight=10, messages=user("what do we do about case 1 then"), target=TARGET,
    rejected=None, note=None, created_at="", updated_at="",
)  # fmt: skip


async def test_a_correction_is_scored_as_the_judge_would_when_nobody_waits_for_an_answer(
    tiny_base: Path, tmp_path: Path
) -> None:
    courtesy = Courtesy()
    serving = Serving(EngineConfig(context_tokens=512), courtesy)
    serving.want(servable_of(tiny_base, 1))
    anticipation = Anticipation(cast(Bases, None), serving, Stages(courtesy, tmp_path))

    async def corrected(example: Example) -> None:
        anticipation.corrected(example, missing=5)
        await until(lambda: len(asyncio.all_tasks()) <= others)

    async with serving.lease() as lease:
        await lease.engine.answer([1, 2, 3], Sampling(max_tokens=1))
        others = len(asyncio.all_tasks())
        [case] = await cases_of([EXAMPLE], lease.engine, lease.template)
        [scored] = await measure_targets(lease.engine, [case])
        await corrected(EXAMPLE)
        assert anticipation.nll(lease.active, case) is None
    await corrected(replace(EXAMPLE, status=ExampleStatus.DRAFT))
    assert anticipation.nll(lease.active, case) is None
    await corrected(EXAMPLE)
    assert anticipation.nll(lease.active, case) == pytest.approx(median(scored), abs=0.05)
    assert anticipation.nll(Active("tiny", 2), case) is None
    assert anticipation.nll(lease.active, replace(case, target=[7])) is None
    await anticipation.close()
    await serving.close()
