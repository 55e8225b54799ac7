"""A real daemon process in a home of its own, and homes whose base is ready to be taught."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import psutil

from shammah.bases import embedded
from shammah.bases.registry import Registry
from shammah.bases.replay import Replayed, load, save
from shammah.client import Client
from shammah.config import EngineConfig
from shammah.files import write_atomically
from shammah.gate.examine import GENERAL_ANSWERS
from shammah.paths import Paths
from shammah.protocol import AddBaseRequest
from shammah.records import Active
from shammah.store.database import Store
from shammah_daemon.bases import Bases
from shammah_daemon.courtesy import Courtesy
from shammah_daemon.stages import Stages

TINY = "tiny"
START_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.02

#: Far above what anything needs: machines that run tests are slow.
WAIT_SECONDS = 240.0

T = TypeVar("T")

#: A lesson that takes seconds and that a model which knows no language passes: it learns to give
#: one short answer to everything, which only ends its turns and improves no other way.
TINY_LESSON = {
    "SHAMMAH_TRAINING__EPOCHS": "24",
    "SHAMMAH_TRAINING__MIN_STEPS": "1",
    "SHAMMAH_TRAINING__LEARNING_RATE": "0.005",
    "SHAMMAH_LEARNING__REPLAY_RATIO": "0",
    "SHAMMAH_GATE__MAX_KL": "100",
    "SHAMMAH_GATE__MIN_LEARNED": "0",
    "SHAMMAH_GATE__QUANTIZATIONS": '["Q8_0"]',
}

#: The same, and what answers is the version alone: no correction is put into the context.
ALONE = TINY_LESSON | {"SHAMMAH_LEARNING__INJECT": "false"}


def scrubbed_environment() -> dict[str, str]:
    """This process's environment without the settings of whoever runs the tests."""
    return {key: value for key, value in os.environ.items() if not key.startswith("SHAMMAH_")}


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def home_in(folder: Path) -> Paths:
    """An empty home."""
    paths = Paths.from_environment({"SHAMMAH_HOME": str(folder)})
    paths.create()
    return paths


def lay_tiny_ground(paths: Paths, gguf: Path, name: str = TINY) -> None:
    """Add a tiny model and make all that lessons on it need, with a few of the embedded base's
    answers: its own never end."""

    async def work(bases: Bases) -> None:
        base = await bases.add(AddBaseRequest(path=str(gguf), name=name))
        path = bases.ground(name).replay
        write_atomically(path, embedded.replay())
        save(path, few(load(path)))
        await bases.groundwork(base)

    _with_bases(paths, work)


def few(replayed: Sequence[Replayed]) -> list[Replayed]:
    """As many for the judge as it asks, and twice as many to train on."""
    held_out = [one for one in replayed if one.held_out]
    trained = [one for one in replayed if not one.held_out]
    return trained[: 2 * GENERAL_ANSWERS] + held_out[:GENERAL_ANSWERS]


def lay_embedded_ground(paths: Paths) -> None:
    """Register the embedded base and make all that lessons on it need."""

    async def work(bases: Bases) -> None:
        await bases.groundwork(await bases.ensure_embedded())

    _with_bases(paths, work)


def furnish(paths: Paths, bases: Path, active: str) -> None:
    """Link prepared bases into a fresh home, and let `active` serve."""
    link_bases(bases, paths)
    with closing(Store.open(paths.database)) as store:
        store.pointer.move(Active(active, 0))


def link_bases(bases: Path, paths: Paths) -> None:
    """Link prepared bases into a home."""
    shutil.copytree(bases, paths.bases, copy_function=os.link, dirs_exist_ok=True)


def copy_home(source: Paths, target: Paths) -> None:
    """Copy all of a home whose daemon has ended, with links to its bases."""
    ignored = shutil.ignore_patterns(source.runtime_dir.name, source.bases.name)
    shutil.copytree(source.data_dir, target.data_dir, ignore=ignored, dirs_exist_ok=True)
    link_bases(source.bases, target)


@dataclass
class Daemon:
    """`python -m shammah_daemon` in `paths`, with settings from the environment."""

    paths: Paths
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def client(self) -> Client:
        """A new connection."""
        return Client(self.paths.socket)

    @property
    def environment(self) -> dict[str, str]:
        """What a child needs to find this daemon."""
        home = {"SHAMMAH_HOME": str(self.paths.data_dir), "SHAMMAH_NOTIFY__DESKTOP": "false"}
        return scrubbed_environment() | home | self.settings

    def start(self, wrapper: Sequence[str] = ()) -> None:
        """Return when the daemon answers, which `wrapper` runs if there is one."""
        with (self.paths.logs / "daemon.err").open("ab") as stderr:
            self.process = subprocess.Popen(
                [*wrapper, sys.executable, "-m", "shammah_daemon"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, "the daemon does not answer"
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(STOP_SECONDS)
            self.process = None

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def said(self) -> str:
        """What it wrote to stderr."""
        return (self.paths.logs / "daemon.err").read_text()

    def children(self, *modules: str) -> list[psutil.Process]:
        """Its living children that run one of `modules`."""
        if self.process is None:
            return []
        found = []
        for child in psutil.Process(self.process.pid).children():
            try:
                if any(module in child.cmdline() for module in modules):
                    found.append(child)
            except psutil.Error:
                continue  # it has just ended
        return found

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(self.paths.socket)) != 0:
                return False
        with self.client as client:
            return client.health().status == "ok"


@contextmanager
def running(paths: Paths, settings: Mapping[str, str] | None = None) -> Iterator[Daemon]:
    """A daemon in a home that has a base; killed at the end."""
    daemon = Daemon(paths, dict(settings or {}))
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.kill()


@contextmanager
def serving_tiny(
    folder: Path, ground: Path, settings: Mapping[str, str] | None = None
) -> Iterator[Daemon]:
    """A daemon in a fresh home that serves the tiny base."""
    paths = home_in(folder)
    furnish(paths, ground, TINY)
    with running(paths, settings) as daemon:
        yield daemon


def wait_for(condition: Callable[[], T], seconds: float = WAIT_SECONDS) -> T:
    """What `condition` returns when it holds, which takes less than `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(POLL_SECONDS)
    return found


async def until(condition: Callable[[], T], seconds: float = WAIT_SECONDS) -> T:
    """The same while the loop goes on."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        await asyncio.sleep(POLL_SECONDS)
    return found


def kill_process(process: psutil.Process) -> None:
    """SIGKILL, also if it is stopped or has just ended by itself."""
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGKILL)


def _with_bases(paths: Paths, work: Callable[[Bases], Awaitable[None]]) -> None:
    async def run() -> None:
        courtesy = Courtesy()
        bases = Bases(
            paths, Registry(paths), EngineConfig(), Stages(courtesy, paths.logs), courtesy
        )
        try:
            await work(bases)
        finally:
            await bases.close()

    asyncio.run(run())
