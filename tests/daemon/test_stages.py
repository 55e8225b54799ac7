"""A real stage child: its progress, its result, its errors, and its end in every way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from shammah.errors import BaseModelError, ShammahError, StorageError
from shammah_daemon.courtesy import Courtesy, Manners
from shammah_daemon.stages import ChildKilled, Stages
from tests.running import until

#: A stage program: what it does is its first argument.
PROGRAM = """
import os, signal, sys, time
from collections.abc import Sequence
from pathlib import Path
from shammah import stage
from shammah.errors import BaseModelError, RankLost

def work(stop):
    what, folder = sys.argv[1], Path(sys.argv[2])
    stage.report(stage=what, fraction=0.5)
    if what == "raises":
        raise BaseModelError("no such tensor", hint="another file")
    if what == "loses":
        raise RankLost("one of 2 is gone")
    if what == "breaks":
        return {"half": 1 / 0}
    if what == "fills":
        raise OSError(28, "No space left on device", str(folder / "big"))
    if what == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "leaves":
        os._exit(3)
    if what == "talks":
        print("x" * 100, file=sys.stderr)
    if what == "looks":
        return {"offline": os.environ.get("HF_HUB_OFFLINE")}
    if what == "is asked":
        return {"asked": stage.receive(stop), "pid": os.getpid()}
    while what in ("waits", "ignores"):
        if stop.is_set() and what == "waits":
            (folder / "checkpoint").write_text("written")
            raise stage.Stopped
        time.sleep(0.01)
    return {"answer": 42, "safe_path": sys.flags.safe_path, "padding": "p" * 200_000}

if __name__ == "__main__":
    if sys.argv[1] == "starts late":
        time.sleep(0.5)
    stage.begin()
    stage.run(work)
"""


class Run:
    """Runs the program and keeps what it reported."""

    def __init__(self, stages: Stages, folder: Path) -> None:
        self.progress: list[dict[str, Any]] = []
        self.stages = stages
        self._folder = folder

    async def __call__(self, what: str, *, online: bool = False) -> dict[str, Any]:
        arguments = ["stage_program", what, str(self._folder)]
        return await self.stages.run(arguments, self.record, online=online)

    async def record(self, fields: dict[str, Any]) -> None:
        self.progress.append(fields)


@pytest.fixture
async def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Run]:
    (tmp_path / "stage_program.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    run = Run(Stages(Courtesy(), tmp_path), tmp_path)
    yield run
    await run.stages.close()  # waits for one that is ending


def children() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if any("stage_program" in word for word in child.cmdline()):
                found.append(child)
    return found


async def started(run: Run) -> psutil.Process:
    await until(lambda: run.progress)
    [child] = children()
    return child


async def test_progress_and_result_come_back(run: Run) -> None:
    result = await run("works")
    assert run.progress == [{"stage": "works", "fraction": 0.5}]
    assert result["answer"] == 42
    assert len(result["padding"]) == 200_000


async def test_what_a_stage_raises_is_raised_here(run: Run) -> None:
    with pytest.raises(BaseModelError, match="no such tensor") as raised:
        await run("raises")
    assert raised.value.hint == "another file"


async def test_a_stage_of_which_one_process_is_gone_counts_as_killed(run: Run) -> None:
    with pytest.raises(ChildKilled, match="one of 2 is gone"):
        await run("loses")


async def test_a_bug_in_a_stage_is_named_and_its_traceback_kept(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ShammahError, match="ZeroDivisionError: division by zero"):
        await run("breaks")
    assert "Traceback" in (tmp_path / "stages.err").read_text()


async def test_a_stage_is_offline_unless_it_is_there_to_ask_the_hub(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    assert (await run("looks"))["offline"] == "1"
    assert (await run("looks", online=True))["offline"] is None
    monkeypatch.setenv("HF_HUB_OFFLINE", "yes")
    assert (await run("looks", online=True))["offline"] == "yes"


async def test_a_full_disk_in_a_stage_is_a_storage_error(run: Run) -> None:
    with pytest.raises(StorageError, match=r"disk is full.*big"):
        await run("fills")


@pytest.mark.parametrize(("what", "how"), [("dies", "signal 9"), ("leaves", "exit code 3")])
async def test_a_stage_that_ends_without_a_word_was_killed(run: Run, what: str, how: str) -> None:
    with pytest.raises(ChildKilled, match=how):
        await run(what)


async def test_a_stage_killed_from_outside_is_noticed(run: Run) -> None:
    task = asyncio.create_task(run("waits"))
    os.kill((await started(run)).pid, signal.SIGKILL)
    with pytest.raises(ChildKilled, match="signal 9"):
        await task


async def test_a_stage_terminated_from_outside_is_noticed(run: Run, tmp_path: Path) -> None:
    task = asyncio.create_task(run("waits"))
    (await started(run)).terminate()
    with pytest.raises(ChildKilled, match="told to stop"):
        await task
    assert (tmp_path / "checkpoint").exists()


async def test_a_cancelled_stage_leaves_its_checkpoint(run: Run, tmp_path: Path) -> None:
    task = asyncio.create_task(run("waits"))
    child = await started(run)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (tmp_path / "checkpoint").read_text() == "written"
    assert not child.is_running()


async def test_a_stage_that_does_not_stop_is_killed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shammah_daemon.stages.STOP_SECONDS", 0.2)
    task = asyncio.create_task(run("ignores"))
    child = await started(run)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not child.is_running()


async def ahead(stages: Stages, what: Sequence[str]) -> int:
    """Start it ahead; its process id."""
    await stages.start_ahead(what)
    [child] = children()
    return child.pid


async def test_a_stage_started_ahead_does_what_it_is_asked(run: Run, tmp_path: Path) -> None:
    what = ["stage_program", "is asked", str(tmp_path)]
    pid = await ahead(run.stages, what)
    result = await run.stages.run(what, run.record, {"job": 7})
    assert result == {"asked": {"job": 7}, "pid": pid}


async def test_a_stage_need_not_be_started_ahead(run: Run, tmp_path: Path) -> None:
    what = ["stage_program", "is asked", str(tmp_path)]
    assert (await run.stages.run(what, run.record, {"job": 7}))["asked"] == {"job": 7}


async def test_one_that_died_waiting_is_replaced(run: Run, tmp_path: Path) -> None:
    what = ["stage_program", "is asked", str(tmp_path)]
    os.kill(await ahead(run.stages, what), signal.SIGKILL)
    await until(lambda: not children())
    await asyncio.sleep(0.1)  # until asyncio has heard of its end
    assert (await run.stages.run(what, run.record, {"job": 7}))["asked"] == {"job": 7}


async def test_another_stage_ends_the_one_that_waits(run: Run, tmp_path: Path) -> None:
    pid = await ahead(run.stages, ["stage_program", "is asked", str(tmp_path)])
    await run("works")
    assert not psutil.pid_exists(pid)


async def test_several_that_start_at_once_leave_none_behind(run: Run, tmp_path: Path) -> None:
    what = ["stage_program", "is asked", str(tmp_path)]
    other = ["stage_program", "is asked", str(tmp_path), "again"]
    started = [run.stages.start_ahead(stage) for stage in (what, other, what)]
    asked = asyncio.create_task(run.stages.run(what, run.record, {"job": 7}))
    await asyncio.gather(*started)
    result = await asked
    await run.stages.close()
    assert result["asked"] == {"job": 7}
    assert children() == []


async def test_what_nobody_asks_ends(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shammah_daemon.stages.AHEAD_SECONDS", 0.2)
    monkeypatch.setattr("shammah_daemon.stages.STOP_SECONDS", 60)
    await run.stages.start_ahead(["stage_program", "is asked", str(tmp_path)])
    await until(lambda: not children())


async def test_closing_ends_the_one_that_waits(run: Run, tmp_path: Path) -> None:
    pid = await ahead(run.stages, ["stage_program", "is asked", str(tmp_path)])
    await run.stages.close()
    assert not psutil.pid_exists(pid)


async def test_one_that_is_given_up_while_it_starts_leaves_no_child(run: Run) -> None:
    task = asyncio.create_task(run("starts late"))
    await until(children)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() == []


@pytest.mark.skipif(sys.platform != "linux", reason="SIGSTOP shows in /proc only on Linux")
async def test_a_stage_is_not_stopped_before_it_would_die_with_its_parent(
    tmp_path: Path, run: Run
) -> None:
    courtesy = Courtesy()
    run = Run(Stages(courtesy, tmp_path), tmp_path)
    with courtesy.answering():
        task = asyncio.create_task(run("starts late"))
        [child] = await until(children)
        await asyncio.sleep(0.1)
        assert child.status() != psutil.STATUS_STOPPED
        await until(lambda: child.status() == psutil.STATUS_STOPPED)
    assert (await task)["answer"] == 42


@pytest.mark.skipif(sys.platform != "linux", reason="SIGSTOP shows in /proc only on Linux")
async def test_a_stage_is_stopped_while_an_answer_is_given(tmp_path: Path, run: Run) -> None:
    courtesy = Courtesy()
    run = Run(Stages(courtesy, tmp_path), tmp_path)
    task = asyncio.create_task(run("waits"))
    child = await started(run)
    with courtesy.answering():
        await until(lambda: child.status() == psutil.STATUS_STOPPED)
        task.cancel()  # a stopped child must still hear that it is to end, and at once
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < Manners().longest_wait_seconds / 2
    assert not child.is_running()
    assert (tmp_path / "checkpoint").exists()


async def test_a_hurried_end_does_not_wait_for_a_stage(run: Run) -> None:
    task = asyncio.create_task(run("ignores"))
    child = await started(run)
    task.cancel()
    run.stages.kill()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not child.is_running()
