"""Runs a stage child: one process of `shammah.training`, `shammah.publish` or `shammah.hub`,
watched.

Knows the JSON lines of `shammah.stage`; knows no job.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from shammah import errors
from shammah.errors import JobError, RankLost
from shammah.stage import STOPPED, child_environment
from shammah.training.spec import CHILD_ENVIRONMENT
from shammah_daemon.courtesy import Courtesy
from shammah_daemon.uninterrupted import uninterrupted

log = structlog.get_logger()

Progress = Callable[[dict[str, Any]], Awaitable[None]]

#: A child that was told to stop writes a checkpoint; one that does not in that time is killed.
STOP_SECONDS = 10.0

#: How long a stage that was started ahead waits for its work: it holds memory.
AHEAD_SECONDS = 600.0

LINE_LIMIT_BYTES = 1 << 22

#: How a child ends that was killed, or whose launcher says that one of its processes was.
KILLED = (-signal.SIGKILL, 1)


class ChildKilled(JobError):
    """The child ended without saying why: killed, out of memory, or crashed in native code.

    Args:
        short_of_memory: the kernel has killed something for want of memory while it ran.
    """

    def __init__(self, message: str, *, hint: str = "", short_of_memory: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.short_of_memory = short_of_memory


@dataclass(frozen=True)
class _Child:
    """A running stage."""

    arguments: tuple[str, ...]
    process: asyncio.subprocess.Process
    background: contextlib.ExitStack

    async def ask(self, request: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(ConnectionError):  # its end is seen where it is followed
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            await self.process.stdin.drain()

    async def end(self) -> None:
        self.background.close()  # a child that chat has stopped would not hear that it is to end
        await _end(self.process)
        log.info("stage ended", stage=self.arguments[:2], code=self.process.returncode)


class Stages:
    """Starts stage children, one at a time for each caller."""

    def __init__(self, courtesy: Courtesy, logs: Path) -> None:
        self._courtesy = courtesy
        self._logs = logs
        self._changing = asyncio.Lock()  # what is started ahead
        self._ahead: _Child | None = None
        self._expiry: asyncio.Task[None] | None = None
        self._processes: list[asyncio.subprocess.Process] = []

    async def run(
        self,
        arguments: Sequence[str],
        on_progress: Progress,
        request: dict[str, Any] | None = None,
        *,
        online: bool = False,
    ) -> dict[str, Any]:
        """Run `python -m <arguments>` to its end and return its result.

        A cancelled call ends the child with SIGTERM, so that it leaves a checkpoint.

        Args:
            request: what a stage is told that can be started ahead.
            online: it waits for the network and hardly computes: chat does not stop it, and
                HF_HUB_OFFLINE is the user's.

        Raises:
            ShammahError: what the child raised.
            ChildKilled: the child ended without a result.
        """
        if online:
            child = await self._start(arguments, online=True)
        else:
            async with self._changing:
                child = await self._take(arguments) or await self._start(arguments)
        before = oom_kills()
        try:
            if request is not None:
                await child.ask(request)
            return await _follow(child.process, on_progress, before)
        finally:
            await child.end()

    @property
    def ahead_pid(self) -> int | None:
        """The process that was started ahead, if there is one."""
        return self._ahead.process.pid if self._ahead else None

    async def start_ahead(self, arguments: Sequence[str]) -> None:
        """Start a stage that a later `run` will ask; if none does in `AHEAD_SECONDS`, it ends."""
        async with self._changing:
            self._ahead = await self._take(arguments) or await self._start(arguments)
            self._expiry = asyncio.create_task(self._expire())

    async def close(self) -> None:
        """End what was started ahead."""
        async with self._changing:
            await self._end_ahead()

    def kill(self) -> None:
        """End every child without a checkpoint: the one before must do."""
        for process in self._living():
            process.kill()

    def _living(self) -> list[asyncio.subprocess.Process]:
        return [process for process in self._processes if process.returncode is None]

    async def _end_ahead(self) -> None:
        if child := self._leave_ahead():
            await child.end()

    def _leave_ahead(self) -> _Child | None:
        """The child that was started ahead, which is none's from here on."""
        if self._expiry:
            self._expiry.cancel()
        child, self._ahead = self._ahead, None
        return child

    async def _take(self, arguments: Sequence[str]) -> _Child | None:
        """The child that was started ahead with these arguments and lives; any other one ends."""
        child = self._leave_ahead()
        if child and (child.arguments != tuple(arguments) or child.process.returncode is not None):
            await child.end()
            return None
        return child

    async def _expire(self) -> None:
        await asyncio.sleep(AHEAD_SECONDS)
        async with self._changing:
            self._expiry = None  # it is this task, which would cancel itself
            await self._end_ahead()

    async def _start(self, arguments: Sequence[str], *, online: bool = False) -> _Child:
        settings = {} if online else CHILD_ENVIRONMENT
        with (self._logs / "stages.err").open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *arguments,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=stderr,
                limit=LINE_LIMIT_BYTES, start_new_session=True,
                env={**child_environment(), **settings},
            )  # fmt: skip
        self._processes = [*self._living(), process]
        log.info("stage started", stage=arguments[:2], pid=process.pid)
        # Only then may it be stopped while an answer is given: see `stage.begin`.
        assert process.stdout is not None
        try:
            await process.stdout.readline()
        except asyncio.CancelledError:
            await uninterrupted(_end(process))
            raise
        background = contextlib.ExitStack()
        if not online:
            background.enter_context(self._courtesy.background(process.pid))
        return _Child(tuple(arguments), process, background)


async def _follow(
    process: asyncio.subprocess.Process, on_progress: Progress, oom_kills_before: int
) -> dict[str, Any]:
    assert process.stdout is not None
    async for line in process.stdout:
        message: dict[str, Any] = json.loads(line)
        kind = message.pop("kind")
        if kind == "progress":
            await on_progress(message)
        elif kind == "result":
            return message
        elif message["type"] == RankLost.__name__:
            raise ChildKilled(message["message"], short_of_memory=oom_kills() > oom_kills_before)
        else:
            error = errors.by_name(message["type"])
            raise error(message["message"], hint=message["hint"])
    code = await process.wait()
    if code == STOPPED:
        raise ChildKilled("the stage was told to stop from outside")
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    raise ChildKilled(
        f"the stage's process ended without a result ({how})",
        short_of_memory=code in KILLED and oom_kills() > oom_kills_before,
    )


def oom_kills(counters: Path = Path("/proc/vmstat")) -> int:
    """How many processes the kernel has killed for want of memory since it started; 0 where it
    does not tell. Of the whole machine: a kill elsewhere at the same time is taken for ours, which
    costs a slower attempt."""
    try:
        lines = counters.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
