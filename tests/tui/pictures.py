"""Pictures of the monitor for the documentation, by the monitor itself (`scripts/screenshots`).

A real daemon with the embedded base is taught real lessons; nothing on the pictures is made up.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE, Popen

from textual.pilot import Pilot

from benchmarks import lessons
from shammah.client import Client
from shammah.records import Level
from shammah_tui.app import Monitor
from shammah_tui.page import TITLES
from tests.running import Daemon, home_in, lay_embedded_ground
from tests.tui.chromium import BROWSER, chromium

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SIZE = (120, 34)
LESSONS = 10

#: Marked, but not answered yet: what the inbox shows.
DRAFT = ("When is the bin collected?", "on Tuesdays, before seven")

#: rich writes where its font can be loaded from; the pictures must not ask anybody.
_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="shammah-") as folder:
        paths = home_in(Path(folder) / "home")
        say("preparing the embedded base")
        lay_embedded_ground(paths)
        daemon = Daemon(paths, {"SHAMMAH_CHAT__MAX_TOKENS": "60"})
        daemon.start()
        try:
            teach(daemon)
            asyncio.run(draw(daemon, Path(folder)))
        finally:
            daemon.stop()


def teach(daemon: Daemon) -> None:
    """Ten corrections and the lesson that they start; then what a second lesson is for."""
    say(f"teaching {LESSONS} lessons")
    with daemon.client as client:
        for number, lesson in enumerate(lessons.load(lessons.OWN)[: LESSONS + 1]):
            level = (Level.CRITICAL, Level.MEDIUM)[number % 2]
            answer = client.chat([{"role": "user", "content": lesson.question}])
            client.feedback(level, answer.id, correction=lesson.answer)
            if number == LESSONS - 1:
                wait_for_end(client)
        answer = client.chat([{"role": "user", "content": DRAFT[0]}])
        client.feedback(Level.CRITICAL, answer.id, note=DRAFT[1])


def wait_for_end(client: Client) -> None:
    while client.status().job is not None:
        time.sleep(0.5)


async def draw(daemon: Daemon, folder: Path) -> None:
    monitor = Monitor(lambda: Client(daemon.paths.socket))
    async with monitor.run_test(size=SIZE, notifications=False) as pilot:
        await settled(pilot, seconds=2)
        for key, page in enumerate(TITLES, start=1):
            if page == "job":
                await pilot.press("t")
                await until(lambda: running(daemon))
            await pilot.press(str(key))
            await settled(pilot, seconds=4)
            if page == "examples":  # one that has an answer to compare
                await pilot.press("down", "down")
                await settled(pilot, seconds=1)
            save(monitor, page)
    with daemon.client as client:
        wait_for_end(client)
    if BROWSER:
        await draw_browser(daemon, folder)
    else:
        say("Chromium is not installed: the picture of the browser stays as it is")


async def draw_browser(daemon: Daemon, folder: Path) -> None:
    say("drawing the browser")
    command = [sys.executable, "-m", "shammah.cli", "tui", "--web", "--port", "8743"]
    with Popen(command, env=daemon.environment, stdout=PIPE, text=True) as served:
        assert served.stdout is not None
        link = served.stdout.readline().strip()
        async with chromium(folder / "profile", size=(1100, 720)) as window:
            await window.open(link)
            await asyncio.sleep(3)
            await window.press("4")
            await asyncio.sleep(3)
            await window.picture(IMAGES / "monitor-web.png")
        served.terminate()


def running(daemon: Daemon) -> bool:
    """A lesson is in the middle of its training."""
    with daemon.client as client:
        job = client.status().job
    return job is not None and job.progress.get("step", 0) > 12


def save(monitor: Monitor, page: str) -> None:
    picture = _FONT.sub("", monitor.export_screenshot(title="shammah tui"))
    (IMAGES / f"monitor-{page}.svg").write_text(picture, encoding="utf-8")
    say(f"drew {page}")


async def settled(pilot: Pilot[None], *, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await pilot.pause()


async def until(holds: Callable[[], bool]) -> None:
    while not await asyncio.to_thread(holds):
        await asyncio.sleep(0.2)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
