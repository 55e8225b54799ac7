"""Runs a stage child: one process of `shammah.training` or `shammah.publish`, watched.

Knows the JSON lines of `shammah.stage`; knows no job.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import structlog

from shammah import errors
from shammah.errors import JobError
from shammah.stage import STOPPED
from shammah.training.spec import CHILD_ENVIRONMENT
from shammah_daemon.courtesy import Courtesy

log = structlog.get_logger()

Progress = Callable[[dict[str, Any]], Awaitable[None]]

#: A child that was told to stop writes a checkpoint; one that does not in that time is killed.
STOP_SECONDS = 10.0

LINE_LIMIT_BYTES = 1 << 22


class ChildKilled(JobError):
    """The child ended without saying why: killed, out of memory, or crashed in native code."""


class Stages:
    """Starts stage children, one at a time for each caller."""

    def __init__(self, courtesy: Courtesy, logs: Path) -> None:
        self._courtesy = courtesy
        self._logs = logs

    async def run(self, arguments: Sequence[str], on_progress: Progress) -> dict[str, Any]:
        """Run `python -m <arguments>` to its end and return its result.

        A cancelled call ends the child with SIGTERM, so that it leaves a checkpoint.

        Raises:
            ShammahError: what the child raised.
            ChildKilled: the child ended without a result.
        """
        with (self._logs / "stages.err").open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *arguments,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=stderr,
                limit=LINE_LIMIT_BYTES, start_new_session=True,
                env={**os.environ, **CHILD_ENVIRONMENT, "PYTHONSAFEPATH": "1"},
            )  # fmt: skip
        log.info("stage started", stage=arguments[:2], pid=process.pid)
        try:
            with self._courtesy.background(process.pid):
                return await _follow(process, on_progress)
        finally:
            await _end(process)
            log.info("stage ended", stage=arguments[:2], code=process.returncode)


async def _follow(process: asyncio.subprocess.Process, on_progress: Progress) -> dict[str, Any]:
    assert process.stdout is not None
    async for line in process.stdout:
        message: dict[str, Any] = json.loads(line)
        kind = message.pop("kind")
        if kind == "progress":
            await on_progress(message)
        elif kind == "result":
            return message
        else:
            error = errors.by_name(message["type"])
            raise error(message["message"], hint=message["hint"])
    code = await process.wait()
    if code == STOPPED:
        raise ChildKilled("the stage was told to stop from outside")
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    raise ChildKilled(
        f"the stage's process ended without a result ({how})",
        hint="it may have run out of memory; logs/stages.err may say more",
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
