"""The chat without a terminal: one turn a line, answers on stdout, everything else on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator

from rich.console import Console

from shammah.errors import ShammahError, UsageError
from shammah.protocol import Comparison, JobEvent
from shammah.records import Preference
from shammah.repl import comparing, grids, progress
from shammah.repl.asker import Asker
from shammah.repl.chat import Chat
from shammah.repl.turn import Turns
from shammah.repl.views import Grid
from shammah.repl.wording import error_lines


class PipeScreen:
    """Plain text; nobody is there to be asked."""

    asker: Asker | None = None

    has_reader = False

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def notify(self, text: str) -> None:
        self.say(text)

    def fail(self, error: ShammahError) -> None:
        self.say("\n".join(error_lines(error)))

    def show(self, text: str) -> None:
        print(text, flush=True)

    def show_grid(self, grid: Grid) -> None:
        grids.show(grid, Console())

    def show_answer(self, pieces: Iterator[str]) -> None:
        answer = ""
        try:
            for piece in pieces:
                answer += piece
        except (KeyboardInterrupt, ShammahError):
            if answer:
                self.show(answer.strip())
            raise
        self.show(answer.strip())

    def show_progress(self, events: Iterator[JobEvent]) -> None:
        progress.show(events, Console(stderr=True))

    def show_comparison(self, found: Comparison) -> None:
        comparing.show(found, Console())

    def ask_preference(self, found: Comparison, swapped: bool) -> Preference:
        raise UsageError("a blind comparison needs a terminal", hint="leave --blind out")

    def ask_correction(self, draft: Callable[[], str]) -> str:
        return ""


def run(chat: Chat, turns: Turns, lines: Iterable[bytes]) -> int:
    """Take every line, also after a failed one. Returns the exit code."""
    exit_code = 0
    for number, raw in enumerate(lines, start=1):
        try:
            line = raw.decode().strip()
        except UnicodeDecodeError:
            chat.screen.fail(UsageError(f"line {number} of standard input is not UTF-8 text"))
            exit_code = 1
            continue
        if line and not turns.take(line):
            exit_code = 1
        if chat.leaving:
            break
    return exit_code
