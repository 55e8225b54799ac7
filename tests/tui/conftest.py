"""The monitor before the stand-in for the daemon, at the sizes it must be good at."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

import pytest
from textual.pilot import Pilot

from shammah import launch
from shammah.client import Client
from shammah.errors import DaemonUnreachable
from shammah.paths import Paths
from shammah_tui.app import Monitor

FAKE = Path(__file__).parents[1] / "cli" / "fake"
SOURCES = Path(__file__).parents[2]
PATIENCE_SECONDS = 15.0

Watching = Callable[[], AbstractAsyncContextManager["Eye"]]


class Eye:
    """What a user sees and presses."""

    def __init__(self, pilot: Pilot[None]) -> None:
        self._pilot = pilot

    @property
    def screen(self) -> str:
        """The terminal as text, a line a row."""
        strips = self._pilot.app.screen._compositor.render_strips()
        return "\n".join(strip.text for strip in strips)

    async def sees(self, *texts: str) -> None:
        """Wait until every text is on the screen."""
        await self._until(lambda: all(text in self.screen for text in texts))

    async def sees_no_more(self, text: str) -> None:
        await self._until(lambda: text not in self.screen)

    async def presses(self, *keys: str) -> None:
        await self._pilot.press(*keys)

    async def _until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < deadline, self.screen
            await self._pilot.pause()
            await asyncio.sleep(0.02)


@pytest.fixture(params=[(80, 24), (160, 50)], ids=["80x24", "160x50"])
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    wanted: tuple[int, int] = request.param
    return wanted


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Paths]:
    """An empty home in which every daemon that is started is the stand-in, ended after."""
    monkeypatch.setenv("SHAMMAH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FAKE), str(SOURCES)]))
    found = Paths.from_environment()
    yield found
    with suppress(DaemonUnreachable):
        launch.stop(found, lambda text: None)


@pytest.fixture
def client(paths: Paths) -> Iterator[Client]:
    """Of a running stand-in."""
    with launch.ensure_running(paths, lambda text: None) as client:
        yield client


@pytest.fixture
def watching(paths: Paths, size: tuple[int, int]) -> Watching:
    """Opens the monitor."""

    @asynccontextmanager
    async def watch() -> AsyncIterator[Eye]:
        async with Monitor(paths.socket).run_test(size=size, notifications=True) as pilot:
            yield Eye(pilot)

    return watch
