"""`screens`: how fast the chat and the monitor are to whoever sits before them."""

from __future__ import annotations

import json
import os
import string
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import pexpect
import psutil

from benchmarks import serve
from benchmarks.daemon import Say, Session, fresh_daemon, wait_until_prepared
from benchmarks.figures import Section, milliseconds

ROUNDS = 10
COLUMNS, ROWS = 80, 24

EXAMPLES = 10_000
PAGES = 40  # turned in the list of examples
WATCHING_SECONDS = 60.0
KEY_SECONDS = 0.2  # between two keys

TARGET_PROMPT_SECONDS = 0.3
TARGET_ECHO_SECONDS = 0.016
TARGET_MONITOR_PERCENT = 3.0  # of one core

#: A prompt that reads keys turns bracketed paste on.
_PROMPT_OPENS = "\x1b[?2004h"
_WHERE_IS_THE_CURSOR, _THERE = "\x1b[6n", "\x1b[1;1R"
_PATIENCE_SECONDS = 60


#: Answers that go on, and examples that start no lesson.
_OVERRIDES = {
    "SHAMMAH_CHAT__MAX_TOKENS": "1000",
    "SHAMMAH_LEARNING__THRESHOLD_EXAMPLES": str(2 * EXAMPLES),
}


@dataclass(frozen=True)
class Result:
    prompt_seconds: list[float]  # from the start of the chat to its prompt
    echo_seconds: list[float]  # from a key to its sight, while an answer streams
    monitor_percent: dict[str, float]  # of one core, by page
    page_seconds: list[float]  # from Page Down to the next rows of many examples


class _Terminal(pexpect.spawn):  # type: ignore[misc]  # pexpect has no types
    """Answers where its cursor is, as a real one does."""

    def read_nonblocking(self, size: int = 1, timeout: float | None = -1) -> str:
        data: str = super().read_nonblocking(size, timeout)
        for _ in range(data.count(_WHERE_IS_THE_CURSOR)):
            self.send(_THERE)
        return data


def run(rounds: int, say: Say) -> Result:
    with fresh_daemon(_OVERRIDES) as session:
        say("screens: preparing")
        wait_until_prepared(session)
        serve.through(session.client, "Say hello.", 8)
        say("screens: the prompt")
        prompts = [_prompt_seconds(session) for _ in range(rounds)]
        say("screens: keys during an answer")
        echoes = _echo_seconds(session)
        say(f"screens: {EXAMPLES} examples")
        session.client.import_examples(_many_examples(), "screens.jsonl")
        pages = _page_seconds(session)
        watched = {}
        for page, key in (("overview", "1"), ("hardware", "5")):
            say(f"screens: the monitor for {WATCHING_SECONDS:.0f} s")
            watched[page] = _monitor_percent(session, key)
    return Result(prompts, echoes, watched, pages)


def section(result: Result) -> Section:
    def both(values: list[float]) -> str:
        return f"{milliseconds(median(values))}, {milliseconds(max(values))}"

    return Section(
        title="Screens",
        columns=("what", "median, worst", "target"),
        rows=[
            ("chat: start to prompt", both(result.prompt_seconds),
             f"<= {milliseconds(TARGET_PROMPT_SECONDS)}"),
            ("chat: key to its sight while an answer streams", both(result.echo_seconds),
             f"<= {milliseconds(TARGET_ECHO_SECONDS)}"),
            *[(f"monitor, {page}: processor, one core", f"{percent:.1f} %",
               f"<= {TARGET_MONITOR_PERCENT} %")
              for page, percent in result.monitor_percent.items()],
            (f"monitor: a page of {EXAMPLES} examples", both(result.page_seconds), ""),
        ],
        notes=[
            f"{COLUMNS}x{ROWS}, on a daemon that runs; {len(result.prompt_seconds)} starts, "
            f"{len(result.echo_seconds)} keys, {len(result.page_seconds)} pages, "
            f"{WATCHING_SECONDS:.0f} s of each page of the monitor.",
        ],
    )  # fmt: skip


@contextmanager
def _opened(session: Session, *arguments: str) -> Iterator[_Terminal]:
    terminal = _Terminal(
        sys.executable,
        ["-P", "-m", "shammah.cli", *arguments],
        env=os.environ | {"SHAMMAH_HOME": str(session.paths.data_dir), "TERM": "xterm-256color"},
        dimensions=(ROWS, COLUMNS),
        encoding="utf-8",
        timeout=_PATIENCE_SECONDS,
    )
    terminal.delaybeforesend = None
    try:
        yield terminal
    finally:
        terminal.close(force=True)


def _prompt_seconds(session: Session) -> float:
    started = time.perf_counter()
    with _opened(session) as chat:
        chat.expect_exact(_PROMPT_OPENS)
        return time.perf_counter() - started


def _echo_seconds(session: Session) -> list[float]:
    found = []
    with _opened(session) as chat:
        chat.expect_exact(_PROMPT_OPENS)
        chat.expect("until the next lesson")  # what is loaded behind the prompt is there
        chat.send(serve.QUESTIONS[0] + "\r")
        chat.expect(r"\w+ \w+ \w+ \w+")
        typed = ""
        for letter in string.ascii_lowercase:
            time.sleep(KEY_SECONDS)
            typed += letter
            sent = time.perf_counter()
            chat.send(letter)
            chat.expect_exact(f"> {typed}")
            found.append(time.perf_counter() - sent)
    return found


def _many_examples() -> str:
    return "\n".join(
        json.dumps(
            {
                "messages": [
                    {"role": "user", "content": f"What stands in drawer {number}?"},
                    {"role": "assistant", "content": f"In drawer {number} stands a lamp."},
                ]
            }
        )
        for number in range(EXAMPLES)
    )


def _page_seconds(session: Session) -> list[float]:
    """From the key to the last of what it makes the monitor draw at once."""
    found = []
    with _opened(session, "tui") as monitor:
        monitor.expect("Overview")
        monitor.send("3")
        monitor.expect("drawer")
        time.sleep(1)  # the rest of the first rows
        for _ in range(PAGES):
            time.sleep(KEY_SECONDS)
            _drain(monitor)
            sent = time.perf_counter()
            monitor.send("\x1b[6~")
            monitor.expect("drawer")
            found.append(time.perf_counter() - sent)
    return found


def _drain(terminal: _Terminal) -> None:
    """Take what was drawn by now, so that it is not found again."""
    while terminal.expect([r"(?s).+", pexpect.TIMEOUT], timeout=0) == 0:
        pass


def _monitor_percent(session: Session, key: str) -> float:
    with _opened(session, "tui", "--read-only") as monitor:
        monitor.expect("Overview")
        monitor.send(key)
        process = psutil.Process(monitor.pid)
        _read_for(monitor, 5)
        before, started = process.cpu_times(), time.monotonic()
        _read_for(monitor, WATCHING_SECONDS)
        after = process.cpu_times()
        used = after.user + after.system - before.user - before.system
        return 100 * used / (time.monotonic() - started)


def _read_for(terminal: _Terminal, seconds: float) -> None:
    """Let it draw, as a terminal does."""
    terminal.expect([pexpect.TIMEOUT], timeout=seconds)
