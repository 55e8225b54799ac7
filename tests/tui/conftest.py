"""The monitor before one real daemon, which has been taught something and waits for a word."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from shammah import launch
from shammah.client import Client
from shammah.errors import ShammahError
from shammah.paths import Paths
from shammah.protocol import JobView
from shammah.records import Level
from shammah_tui.app import Monitor
from tests.running import TINY, TINY_LESSON, Daemon, furnish, home_in

PATIENCE_SECONDS = 60.0

SETTINGS = TINY_LESSON | {
    "SHAMMAH_LEARNING__INJECT": "false",
    "SHAMMAH_LEARNING__CONSOLIDATE_AT": "",
}

#: What is taught: a model that knows no language learns to give one short answer to everything.
QUESTIONS = tuple(f"what do we do about case {number} then" for number in range(3))
TARGET = "yes we agree indeed"

Watching = Callable[..., AbstractAsyncContextManager["Eye"]]


class Eye:
    """What a user sees and presses."""

    def __init__(self, pilot: Pilot[None]) -> None:
        self.pilot = pilot

    @property
    def app(self) -> Monitor:
        assert isinstance(self.pilot.app, Monitor)
        return self.pilot.app

    @property
    def screen(self) -> str:
        """The terminal as text, a line a row."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text for strip in strips)

    async def sees(self, *texts: str) -> None:
        """Wait until every text is on the screen."""
        await self.until(lambda: all(text in self.screen for text in texts))

    async def sees_no_more(self, text: str) -> None:
        await self.until(lambda: text not in self.screen)

    async def presses(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def types(self, text: str) -> None:
        for character in text:
            await self.pilot.press("space" if character == " " else character)

    async def until(self, holds: Callable[[], Any]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < deadline, self.screen
            await self.pilot.pause()
            await asyncio.sleep(0.02)


@pytest.fixture(scope="session")
def lived_in(tmp_path_factory: pytest.TempPathFactory, tiny_ground: Path) -> Path:
    """A home whose daemon has promoted one version, and whose inbox has three items."""
    paths = home_in(tmp_path_factory.mktemp("lived-in"))
    furnish(paths, tiny_ground, TINY)
    with running(paths) as daemon, daemon.client as client:
        live(client)
    return paths.data_dir


@pytest.fixture(scope="session")
def living(tmp_path_factory: pytest.TempPathFactory, lived_in: Path) -> Iterator[Daemon]:
    """The one daemon that all tests here share; they leave more or less behind in it."""
    with moved_in(lived_in, tmp_path_factory.mktemp("living")) as daemon:
        yield daemon


@contextmanager
def moved_in(lived_in: Path, folder: Path) -> Iterator[Daemon]:
    """A daemon in a copy of the home."""
    shutil.copytree(lived_in, folder / "home", ignore=shutil.ignore_patterns("run"))
    with running(home_in(folder / "home")) as daemon:
        yield daemon


@contextmanager
def running(paths: Paths) -> Iterator[Daemon]:
    daemon = Daemon(paths, SETTINGS)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()


def live(client: Client) -> None:
    """Teach a lesson, and leave something to decide."""
    for question in QUESTIONS:
        mark(client, question, TARGET, Level.CRITICAL)
    lesson = client.train()
    while not client.job(lesson.id).state.is_final:
        time.sleep(0.05)
    assert client.status().active_version == 1, client.job(lesson.id).summary
    mark(client, QUESTIONS[0], "nobody agrees", Level.MEDIUM)
    mark(client, "when is the bin collected", None, Level.CRITICAL)
    mark(client, "what is the wifi password", "The password is hunter2Xk9!qq", Level.CRITICAL)


def mark(client: Client, question: str, correction: str | None, level: Level) -> int:
    """Ask, and mark the answer; the id of the example."""
    answer = client.chat([{"role": "user", "content": question}], max_tokens=8)
    return client.feedback(level, answer.id, correction=correction).example_id


@pytest.fixture
def client(living: Daemon) -> Iterator[Client]:
    with living.client as client:
        yield client


@pytest.fixture
def paths(living: Daemon, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Of the home of the daemon, which this process and its children find too."""
    monkeypatch.setenv("SHAMMAH_HOME", str(living.paths.data_dir))
    return living.paths


@pytest.fixture
def watching(living: Daemon) -> Watching:
    """Opens the monitor, on the page that the keys lead to."""

    @asynccontextmanager
    async def watch(
        *keys: str, size: tuple[int, int] = (80, 24), read_only: bool = False
    ) -> AsyncIterator[Eye]:
        socket = living.paths.socket
        monitor = Monitor(lambda: Client(socket), read_only=read_only)
        async with monitor.run_test(size=size, notifications=True) as pilot:
            eye = Eye(pilot)
            if await asyncio.to_thread(socket.exists):
                await eye.sees("Model")
            await eye.presses(*keys)
            yield eye

    return watch


@pytest.fixture
def held_job(living: Daemon, client: Client) -> Iterator[JobView]:
    """A lesson that stands still in the middle of its training."""
    job = client.train()
    while "step" not in client.job(job.id).progress:
        time.sleep(0.01)
    (trainer,) = living.children("shammah.training")
    trainer.suspend()
    yield client.job(job.id)
    trainer.resume()
    with suppress(ShammahError):
        client.cancel_job(job.id)


@pytest.fixture
def came_back(living: Daemon) -> Iterator[Callable[[], Awaitable[None]]]:
    """Stops the daemon; afterwards it runs again, as it did, whoever has started another one."""

    async def stop() -> None:
        await asyncio.to_thread(living.stop)

    yield stop
    with suppress(ShammahError):
        launch.stop(living.paths, lambda text: None)
    living.stop()
    living.start()
