"""What a lesson that does not run still takes, and whether the machine has that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from shammah.bases.registry import Registry
from shammah.config import Config, EngineConfig
from shammah.options import TrainingConfig
from shammah.paths import Paths
from shammah.records import Base, Cause, Job, JobState, Mode, PauseReason
from shammah.store.database import Store
from shammah.training.planning import Machine
from shammah_daemon.bases import Bases
from shammah_daemon.courtesy import Courtesy
from shammah_daemon.schedule.conditions import Conditions, apple
from shammah_daemon.schedule.forecast import Room
from shammah_daemon.stages import Stages
from tests.daemon.schedule.test_quiet import DESKTOP, PLENTY

BASE = Base("large", "l.gguf", "", 1, "llama", 10**9, "Q8_0", 512, "", "", "")


def conditions(
    home: Paths,
    room: Room = PLENTY,
    accelerators: Callable[[], Sequence[Machine]] = tuple,
) -> Conditions:
    courtesy = Courtesy()
    bases = Bases(home, Registry(home), EngineConfig(), Stages(courtesy, home.logs), courtesy)
    return Conditions(home, Config(), bases, lambda: replace(DESKTOP, room=room), accelerators)


def test_a_plan_is_made_for_what_is_free_and_for_the_gpu_that_is_there(home: Paths) -> None:
    Registry(home).save(BASE)
    machine = Machine("cuda", "H", 80 * 10**9, 80 * 10**9, bf16=True)
    found = conditions(home)
    assert (
        found.plan(BASE.name, TrainingConfig()).machine.free_bytes == PLENTY.memory_available_bytes
    )
    with_gpu = conditions(home, accelerators=lambda: [machine])
    assert with_gpu.plan(BASE.name, TrainingConfig()).machine == machine
    assert with_gpu.forecast(BASE.name).memory_bytes <= found.forecast(BASE.name).memory_bytes


@pytest.mark.parametrize(("system", "kind"), [("linux", "arm64"), ("darwin", "x86_64")])
def test_only_a_mac_with_apples_processor_has_its_gpu(system: str, kind: str) -> None:
    processor = Machine("cpu", "", 8, 4, bf16=False)
    assert apple(processor, system, kind) == []
    [gpu] = apple(processor, "darwin", "arm64")
    assert (gpu.device, gpu.memory_bytes, gpu.free_bytes) == ("mps", 8, 4)


@pytest.fixture
def job(home: Paths, store: Store) -> Job:
    """A night's lesson that has made room for something else."""
    Registry(home).save(BASE)
    job = store.jobs.create(BASE.name, Mode.CONSOLIDATE, Cause.NIGHT)
    store.jobs.update(job.id, state=JobState.TRAINING)
    return store.jobs.update(job.id, state=JobState.PAUSED, paused_for=PauseReason.POLICY)


def test_a_lesson_that_has_made_room_goes_on_where_it_fits(home: Paths, job: Job) -> None:
    spare = int(Config().quiet.spare_memory_gb * 1e9)
    needed = conditions(home).forecast(BASE.name).memory_bytes + spare
    enough, short = (
        conditions(home, replace(PLENTY, memory_available_bytes=free))
        for free in (needed, needed - 1)
    )
    assert enough.waits(job) is None
    assert (short.waits(job) or "").startswith("memory: ")
    assert short.disturbs(job) is None  # while it runs, it has what it takes


def test_what_a_lesson_has_written_already_needs_no_space(home: Paths, job: Job) -> None:
    whole = conditions(home).remaining(job)
    assert whole == conditions(home).forecast(BASE.name)
    home.job(job.id).mkdir()
    (home.job(job.id) / "merged.gguf").write_bytes(bytes(1 << 20))
    rest = conditions(home).remaining(job)
    assert rest.disk_bytes <= whole.disk_bytes - (1 << 20)
    exactly = replace(PLENTY, disk_free_bytes=rest.disk_bytes)
    assert conditions(home, exactly).has_room(job)
    assert not conditions(home, replace(exactly, disk_free_bytes=rest.disk_bytes - 1)).has_room(job)
