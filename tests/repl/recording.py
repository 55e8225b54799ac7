"""A chat recorded for the documentation, by the chat itself (`scripts/screenshots`).

A real daemon with the embedded base; nothing on the picture is made up. Long waits are shortened.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pexpect
import pyte

from benchmarks import lessons
from benchmarks.lessons import Lesson
from shammah.records import Level
from tests.running import Daemon, home_in, lay_embedded_ground
from tests.terminal import ENTER

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "chat.svg"
COLUMNS, ROWS = 80, 24

#: Seconds between two keys, and the longest that a picture stands still, in milliseconds.
KEY_SECONDS = 0.05
MOST_MILLISECONDS = 2000

PATIENCE_SECONDS = 300

WHERE_IS_THE_CURSOR = "\x1b[6n"


class Recorded(pexpect.spawn):  # type: ignore[misc]  # pexpect has no types
    """Keeps what it shows, and when; answers where its cursor is."""

    def __init__(self, *arguments: object, **options: object) -> None:
        self.frames: list[tuple[float, str]] = []
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.Stream(self.screen)
        super().__init__(*arguments, **options)

    def read_nonblocking(self, size: int = 1, timeout: float | None = -1) -> str:
        data: str = super().read_nonblocking(size, timeout)
        self.frames.append((time.monotonic(), data))
        *asking, rest = data.split(WHERE_IS_THE_CURSOR)
        for shown in asking:
            self._stream.feed(shown)
            cursor = self.screen.cursor
            self.send(f"\x1b[{cursor.y + 1};{cursor.x + 1}R")
        self._stream.feed(rest)
        return data

    def types(self, text: str) -> None:
        """Key by key, as somebody would."""
        for key in text:
            self.send(key)
            self.rests(KEY_SECONDS)

    def rests(self, seconds: float) -> None:
        """Go on reading what is shown."""
        self.expect([pexpect.TIMEOUT], timeout=seconds)


def main() -> None:
    *before, last = lessons.load(lessons.OWN)[:10]
    with tempfile.TemporaryDirectory(prefix="shammah-") as folder:
        paths = home_in(Path(folder) / "home")
        lay_embedded_ground(paths)
        daemon = Daemon(paths, {"SHAMMAH_CHAT__MAX_TOKENS": "60"})
        daemon.start()
        try:
            teach(daemon, before)
            chat = record(daemon, last)
        finally:
            daemon.stop()
        cast = Path(folder) / "chat.cast"
        cast.write_text(asciicast(chat.frames))
        render(cast)


def teach(daemon: Daemon, corrected: list[Lesson]) -> None:
    """All corrections but the one that starts the lesson."""
    with daemon.client as client:
        for lesson in corrected:
            answer = client.chat([{"role": "user", "content": lesson.question}])
            client.feedback(Level.CRITICAL, answer.id, correction=lesson.answer)


def record(daemon: Daemon, lesson: Lesson) -> Recorded:
    """The tenth correction, the lesson that it starts, and the question asked again."""
    chat = Recorded(
        sys.executable,
        ["-m", "shammah.cli"],
        env=daemon.environment | {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"},
        dimensions=(ROWS, COLUMNS),
        encoding="utf-8",
        timeout=PATIENCE_SECONDS,
    )
    chat.expect("1 more until the next lesson")
    chat.rests(1)
    chat.types(lesson.question + ENTER)
    chat.expect("tokens/s|t/s")
    chat.rests(2)
    chat.types("/critical" + ENTER)
    chat.expect_exact("= ")
    chat.rests(2)
    chat.send("\x15")  # what is proposed makes room
    chat.types(lesson.answer)
    chat.rests(2)
    chat.send(ENTER)
    chat.expect("Version 1 answers now")
    chat.rests(2)
    chat.types("/clear" + ENTER)
    chat.rests(1)
    chat.types(lesson.near[0] + ENTER)
    chat.expect_exact(lesson.key)
    chat.expect("tokens/s|t/s")
    chat.rests(3)
    chat.sendeof()
    chat.expect(pexpect.EOF)
    return chat


def asciicast(frames: list[tuple[float, str]]) -> str:
    """https://docs.asciinema.org/manual/asciicast/v2/"""
    first, _ = frames[0]
    header = {"version": 2, "width": COLUMNS, "height": ROWS}
    events = [[round(at - first, 3), "o", shown] for at, shown in frames if shown]
    return "\n".join(json.dumps(line) for line in [header, *events]) + "\n"


def render(cast: Path) -> None:
    program = Path(sys.executable).with_name("termtosvg")
    subprocess.run(
        [program, "render", cast, PICTURE, "-t", "window_frame", "-M", str(MOST_MILLISECONDS)],
        check=True,
    )


if __name__ == "__main__":
    main()
