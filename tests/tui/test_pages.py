"""What is on every page: the way to the others, the help, the palette, the theme, the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from textual.binding import BindingType
from textual.widgets import Static

from shammah import launch
from shammah.client import Client
from shammah.errors import DiskFull
from shammah.paths import Paths
from shammah.protocol import HardwareSample, LogTail
from shammah_tui.app import PAGES, Monitor
from shammah_tui.compare import Compare
from shammah_tui.exporting import ExportAdapters
from shammah_tui.keys import keys_of
from shammah_tui.link import look
from shammah_tui.messages import DaemonSeen
from shammah_tui.page import TITLES, NavigationBar, fitting
from shammah_tui.review import Review
from tests.running import Daemon

if TYPE_CHECKING:
    from tests.tui.conftest import Watching

pytestmark = pytest.mark.timeout(240, func_only=True)

#: A word that only this page shows, by its key.
MARKS = {
    "2": "Loss, nats a token",
    "3": "in the inbox",
    "4": "The gate on version 1",
    "5": "core 0",
    "6": "daemon info",
    "7": "learning.threshold_examples",
    "8": "version-1",
    "9": "micro-batch",
    "1": "Health",
}


async def test_each_page_has_its_key_and_its_help(watching: Watching) -> None:
    async with watching(size=(160, 50)) as eye:
        for key, mark in MARKS.items():
            await eye.presses(key)
            await eye.sees(mark)
            await eye.presses("f1")
            await eye.sees("Everywhere", "Leave; the daemon and its job go on")
            await eye.presses("escape")
            await eye.sees_no_more("Everywhere")


async def test_news_that_comes_while_the_app_ends_finds_no_page(
    watching: Watching, living: Daemon
) -> None:
    with living.client as client:
        snapshot = look(client, None)

    class LastToLeave(Static):
        async def on_unmount(self) -> None:
            await asyncio.sleep(0.2)
            told.append(len(self.screen.query(NavigationBar)))
            monitor.on_daemon_seen(DaemonSeen(snapshot))

    told: list[int] = []
    async with watching() as eye:
        monitor = eye.app
        await monitor.screen.mount(LastToLeave())
    assert told == [0]  # the page was still there, and what it shows was not


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
async def test_a_click_in_the_bar_opens_its_page(watching: Watching, size: tuple[int, int]) -> None:
    async with watching(size=size) as eye:
        await eye.pilot.click("#tab-versions")
        await eye.sees("The gate on version 1")


async def test_a_narrow_bar_names_the_page_that_is_open(watching: Watching) -> None:
    async with watching("4") as eye:
        await eye.sees("1 2 3 4 Versions 5 6 7 8 9")
        await eye.pilot.resize_terminal(120, 34)
        await eye.sees("1 Overview 2 Job 3 Examples 4 Versions", "8 Adapters 9 Train")


def test_of_the_situation_the_last_parts_that_fit_are_shown() -> None:
    parts = ["version 3", "job 4 training", "read-only"]
    assert fitting(parts, 40) == "version 3 · job 4 training · read-only"
    assert fitting(parts, 30) == "job 4 training · read-only"
    assert fitting(parts, 3) == "read-only"


async def test_the_palette_opens_pages_and_knows_the_keys(watching: Watching) -> None:
    async with watching() as eye:
        await eye.presses("ctrl+p")
        await eye.types("open logs")
        await eye.sees("Open Logs")
        await eye.presses("enter", "enter")
        await eye.sees("daemon info")
        await eye.presses("ctrl+p")
        await eye.types("hold")
        await eye.sees("Hold the lines still")


async def test_the_theme_is_kept(living: Daemon, tmp_path: Path) -> None:
    def monitor() -> Monitor:
        return Monitor(lambda: Client(living.paths.socket), taste=tmp_path / "state")

    async with monitor().run_test() as pilot:
        assert pilot.app.current_theme.dark
        await pilot.press("f2")
        assert not pilot.app.current_theme.dark
    async with monitor().run_test() as pilot:
        assert not pilot.app.current_theme.dark


async def test_one_that_only_watches_offers_nothing_that_changes(watching: Watching) -> None:
    async with watching(read_only=True) as eye:
        await eye.sees("read-only")
        assert "Train" not in eye.screen
        for key, offered in (("3", "Forget"), ("4", "Promote"), ("7", "Change")):
            await eye.presses(key)
            await eye.sees(MARKS[key] if key != "7" else "engine.slots")
            assert offered not in eye.screen
        await eye.presses("3", "f", "1", "t")
        await eye.sees("Health")
        assert len(eye.app.screen_stack) == 1


@pytest.mark.usefixtures("comes_back")
async def test_a_daemon_that_is_gone_is_told_of_started_and_restarted(
    living: Daemon, watching: Watching
) -> None:
    async with watching() as eye:
        await eye.sees("ready ·")
        await asyncio.to_thread(living.stop)
        await eye.sees("No daemon", "start it with 'shammah daemon start', or press S here")
        await eye.sees("base    tiny")  # the last figures stay
        await eye.presses("t")
        await eye.sees("no daemon answers on")
        await eye.presses("S")
        await eye.sees("the daemon answers again")
        await eye.sees_no_more("No daemon")
        await eye.presses("7")
        await eye.sees("engine.slots")
        await eye.presses("R")
        await eye.sees("Restart the daemon?")
        await eye.presses("y")
        await eye.sees("No daemon")
        await eye.sees_no_more("No daemon")


@pytest.fixture
def comes_back(living: Daemon, paths: Paths) -> Iterator[None]:
    """Afterwards the daemon runs as it did, whoever has stopped it or started another one."""
    yield
    launch.end(paths)
    living.stop()
    living.start()


async def test_pages_that_look_again_and_again_outlive_a_failure(watching: Watching) -> None:
    async with watching("6", size=(160, 50), reach=Stumbling) as eye:
        await eye.sees("the disk is full", "daemon info")
        await eye.presses("5")
        await eye.sees("core 0")


class Stumbling(Client):
    """Fails at its first look at the logs, and at the machine."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self._stumbled: set[str] = set()

    def logs(self, after: str | None = None) -> LogTail:
        self._stumble("logs")
        return super().logs(after)

    def hardware(self) -> HardwareSample:
        self._stumble("hardware")
        return super().hardware()

    def _stumble(self, over: str) -> None:
        if over not in self._stumbled:
            self._stumbled.add(over)
            raise DiskFull("the disk is full")


def test_every_page_has_a_name_a_purpose_and_keys_that_say_what_they_do() -> None:
    assert [page.NAME for page in PAGES] == list(TITLES)
    for page in PAGES:
        assert page.ABOUT
        assert all(binding.tooltip for binding in page.BINDINGS)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("title", "bindings"),
    [
        *((f"## {TITLES[page.NAME]}", page.BINDINGS) for page in PAGES),
        ("## Keys on every page", Monitor.BINDINGS),
        ("### The inbox", Review.BINDINGS),
        ("### Compare", Compare.BINDINGS),
        ("### Export", ExportAdapters.BINDINGS),
    ],
)
def test_every_key_is_in_the_documentation(title: str, bindings: list[BindingType]) -> None:
    text = (Path(__file__).parents[2] / "docs" / "monitor.md").read_text()
    section = text.split(f"\n{title}\n")[1].split("\n#")[0]
    rows = [f"| `{key.shown}` | {key.does} |" for key in keys_of(bindings)]
    assert rows
    assert [row for row in rows if row not in section] == []
