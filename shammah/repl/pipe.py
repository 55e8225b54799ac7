"""The chat without a terminal: one turn a line, answers on stdout, everything else on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator

from rich.console import Console

from shammah.errors import ShammahError, UsageError
from shammah.protocol import Comparison, JobEvent
from shammah.records import Preference
from shammah.repl import blocks, comparing, grids, progress
from shammah.repl.asker import Asker
from shammah.repl.chat import Chat
from shammah.repl.turn import Turns
from shammah.repl.views import Grid
from shammah.wording import error_lines


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

    def ask_correction(self, answer: str, draft: Callable[[], str]) -> str:
        return ""

    def propose(self, line: str) -> None:
        pass

    def copy(self, text: str) -> None:
        raise UsageError("there is no terminal to copy from", hint="its answers are on stdout")


def run(chat: Chat, turns: Turns, lines: Iterable[bytes]) -> int:
    """Take every line, also after a failed one. Returns the exit code."""
    exit_code = 0
    bad_lines: list[int] = []
    for line in blocks.joined(_decoded(lines, bad_lines)):
        exit_code |= _say_bad(chat, bad_lines)
        if line.strip() and not turns.take(line.strip()):
            exit_code = 1
        if chat.leaving:
            break
    return exit_code | _say_bad(chat, bad_lines)


def _decoded(lines: Iterable[bytes], bad_lines: list[int]) -> Iterator[str]:
    for number, raw in enumerate(lines, start=1):
        try:
            yield raw.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            bad_lines.append(number)


def _say_bad(chat: Chat, numbers: list[int]) -> int:
    """Tell of lines that could not be read, once; the exit code that follows."""
    code = 1 if numbers else 0
    while numbers:
        chat.screen.fail(UsageError(f"line {numbers.pop(0)} of standard input is not UTF-8 text"))
    return code
