"""The monitor before a real daemon, which has been taught something and waits for a word."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from textual.pilot import Pilot
from textual.widgets._footer import FooterKey

from shammah.bases.gguf_header import read_header
from shammah.client import Client
from shammah.paths import Paths
from shammah.records import Level
from shammah_tui.app import Monitor
from tests.asking import case
from tests.publish.adapters import random_tensors, write_peft
from tests.running import ALONE, Daemon, copy_home, home_in, running
from tests.versions import Taught

PATIENCE_SECONDS = 60.0

SETTINGS = ALONE | {"SHAMMAH_LEARNING__CONSOLIDATE_AT": ""}

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

    async def hears(self, text: str) -> None:
        """Wait until a message says it, however its lines are broken."""
        await self.until(lambda: any(text in one.message for one in self.app._notifications))

    def offers(self, key: str) -> bool:
        """Whether the foot of the screen has a key of that description that is not greyed out."""
        return any(
            one.description == key and not one.has_class("-disabled")
            for one in self.app.screen.query(FooterKey)
        )

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
def living(tmp_path_factory: pytest.TempPathFactory, taught_home: Taught) -> Iterator[Daemon]:
    """The daemon that all tests here share; they leave more or less behind in it."""
    with lived_in(taught_home.home, tmp_path_factory.mktemp("living")) as daemon:
        yield daemon


@contextmanager
def lived_in(home: Paths, folder: Path) -> Iterator[Daemon]:
    """A daemon in a copy of a home that has a version, with three items in its inbox."""
    paths = home_in(folder)
    copy_home(home, paths)
    with running(paths, SETTINGS) as daemon:
        with daemon.client as client:
            mark(client, case(0), "nobody agrees", Level.MEDIUM)
            mark(client, "when is the bin collected", None, Level.CRITICAL)
            mark(client, "what is the wifi password", "The password is hunter2Xk9!qq")
        yield daemon


def mark(
    client: Client, question: str, correction: str | None, level: Level = Level.CRITICAL
) -> int:
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


@pytest.fixture(scope="session")
def noise(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PEFT folder for the tiny base, with which it says something else."""
    folder = tmp_path_factory.mktemp("peft") / "noise"
    return write_peft(folder, random_tensors(read_header(tiny_base)))


@pytest.fixture
def watching(living: Daemon) -> Watching:
    """Opens the monitor, on the page that the keys lead to."""
    return partial(watch, living.paths.socket)


@asynccontextmanager
async def watch(
    socket: Path,
    *keys: str,
    size: tuple[int, int] = (80, 24),
    read_only: bool = False,
    reach: Callable[[Path], Client] = Client,
) -> AsyncIterator[Eye]:
    """The monitor before the daemon behind `socket`, to which `reach` connects it."""
    monitor = Monitor(lambda: reach(socket), read_only=read_only)
    async with monitor.run_test(size=size, notifications=True) as pilot:
        eye = Eye(pilot)
        await eye.sees("Model")
        await eye.presses(*keys)
        yield eye


@contextmanager
def held(daemon: Daemon) -> Iterator[None]:
    """The training of the running job stands still, until the daemon ends it."""
    (trainer,) = daemon.children("shammah.training")
    trainer.suspend()
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            trainer.resume()
