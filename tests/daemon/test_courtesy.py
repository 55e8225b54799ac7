"""Background children stop while an answer is given, get a slice in a long chat, and go on."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from shammah_daemon.courtesy import IO_LEVEL, NICE, Courtesy, Manners
from tests.asking import correct, user
from tests.conftest import StartDaemon
from tests.running import TINY_LESSON, until, wait_for

#: Far above the waits of a courtesy under test, far below those that no test reaches.
SOON = 5.0

#: Long waits that no test reaches, but for the one under test.
RESUMES_SOON = Manners(0.05, 60.0, 60.0)
GIVES_SLICES = Manners(60.0, 0.1, 0.1)
NEVER = Manners(60.0, 60.0, 60.0)


@pytest.fixture
def child() -> Iterator[psutil.Process]:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    yield psutil.Process(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()


def stopped(child: psutil.Process) -> bool:
    return child.status() == psutil.STATUS_STOPPED


async def test_a_child_is_stopped_while_an_answer_is_given(child: psutil.Process) -> None:
    courtesy = Courtesy(RESUMES_SOON)
    with courtesy.background(child.pid):
        with courtesy.answering():
            await until(lambda: stopped(child), SOON)
            ends = time.monotonic()
        await until(lambda: not stopped(child), SOON)
        assert time.monotonic() - ends >= RESUMES_SOON.resume_after_seconds


async def test_what_a_child_has_started_is_stopped_with_it() -> None:
    starts = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    launcher = psutil.Popen([sys.executable, "-c", starts], start_new_session=True)
    try:
        [worker] = await until(launcher.children, SOON)
        courtesy = Courtesy(RESUMES_SOON)
        with courtesy.background(launcher.pid):
            with courtesy.answering():
                await until(lambda: stopped(worker), SOON)
            await until(lambda: not stopped(worker), SOON)
    finally:
        worker.kill()
        launcher.wait()


async def test_a_child_waits_for_the_last_of_several_answers(child: psutil.Process) -> None:
    courtesy = Courtesy(RESUMES_SOON)
    with courtesy.background(child.pid), courtesy.answering():
        with courtesy.answering():
            await until(lambda: stopped(child), SOON)
        await asyncio.sleep(0.15)
        assert stopped(child)


async def test_a_new_answer_before_the_pause_is_over_keeps_it_stopped(
    child: psutil.Process,
) -> None:
    courtesy = Courtesy(RESUMES_SOON)
    with courtesy.background(child.pid):
        with courtesy.answering():
            await until(lambda: stopped(child), SOON)
        with courtesy.answering():
            await asyncio.sleep(0.15)
            assert stopped(child)


async def test_a_child_that_comes_during_an_answer_waits_at_once(child: psutil.Process) -> None:
    courtesy = Courtesy(NEVER)
    with courtesy.answering(), courtesy.background(child.pid):
        await until(lambda: stopped(child), SOON)


async def test_a_chat_without_a_pause_leaves_slices(child: psutil.Process) -> None:
    courtesy = Courtesy(GIVES_SLICES)
    with courtesy.background(child.pid), courtesy.answering():
        for _ in range(2):
            await until(lambda: stopped(child), SOON)
            await until(lambda: not stopped(child), SOON)


async def test_answers_one_after_another_leave_slices_too(child: psutil.Process) -> None:
    """A chat without a pause is not one long answer but many."""
    courtesy = Courtesy(Manners(0.5, 0.3, 0.1))
    ran = False
    with courtesy.background(child.pid):
        for _ in range(40):
            with courtesy.answering():
                await asyncio.sleep(0.03)
                ran = ran or not stopped(child)
            await asyncio.sleep(0)
    assert ran


async def test_a_child_is_continued_when_its_work_ends(child: psutil.Process) -> None:
    courtesy = Courtesy(NEVER)
    with courtesy.answering():
        with courtesy.background(child.pid):
            await until(lambda: stopped(child), SOON)
        await until(lambda: not stopped(child), SOON)


async def test_background_work_has_a_low_priority(child: psutil.Process) -> None:
    with Courtesy(NEVER).background(child.pid):
        assert child.nice() == NICE
        if psutil.LINUX:
            assert tuple(child.ionice()) == (psutil.IOPRIO_CLASS_BE, IO_LEVEL)


async def test_what_may_serve_keeps_its_priority(child: psutil.Process) -> None:
    before = child.nice()
    with Courtesy(NEVER).background(child.pid, may_serve=True):
        assert child.nice() == before


async def test_it_knows_for_how_long_no_answer_was_given() -> None:
    courtesy = Courtesy(NEVER)
    with courtesy.answering():
        await asyncio.sleep(0.05)
        assert courtesy.idle_seconds == 0
    await asyncio.sleep(0.05)
    assert 0.04 < courtesy.idle_seconds < 2


async def test_a_child_that_is_gone_disturbs_nobody(child: psutil.Process) -> None:
    courtesy = Courtesy(RESUMES_SOON)
    with courtesy.background(child.pid):
        child.kill()
        child.wait()
        with courtesy.answering():
            pass
        await asyncio.sleep(0.1)


@pytest.mark.skipif(sys.platform != "linux", reason="SIGSTOP shows in /proc only on Linux")
def test_a_real_training_child_stands_still_while_an_answer_is_given_and_is_nice(
    start_daemon: StartDaemon,
) -> None:
    daemon = start_daemon(TINY_LESSON)
    with daemon.client as client:
        correct(client, 0)
        job = client.train()
        [training] = wait_for(lambda: daemon.children("shammah.training"))
        wait_for(lambda: training.nice() == NICE)
        asked = client.chat_stream(user("and how are you"), max_tokens=40)
        seen = [stopped(training) for _ in asked]
        assert sum(seen) > len(seen) / 2
        wait_for(lambda: not stopped(training), SOON)
        assert tuple(training.ionice()) == (psutil.IOPRIO_CLASS_BE, IO_LEVEL)
        client.cancel_job(job.id)
