"""What a chat draws on a terminal, and asks there: markdown, tables, progress, corrections."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from shammah.errors import ShammahError
from shammah.protocol import Comparison, JobEvent
from shammah.records import Preference
from shammah.repl import bar, clipboard, comparing, editor, grids, markdown, progress
from shammah.repl.asker import LEAVE
from shammah.repl.chat import Chat
from shammah.repl.drawing import Drawing
from shammah.repl.notices import Notices
from shammah.repl.prompts import Skipped, ask_correction, choice_prompt, correction_prompt
from shammah.repl.typing_ahead import typing_ahead
from shammah.repl.views import Grid
from shammah.repl.watch import JobWatch
from shammah.wording import printable


class TerminalScreen:
    """Draws a chat on a terminal; NO_COLOR is rich's and prompt_toolkit's to respect."""

    has_reader = True

    def __init__(self, drawing: Drawing, notices: Notices, *, vi: bool) -> None:
        self._drawing = drawing
        self._notices = notices
        self._vi = vi
        self._proposed = ""
        self._console = drawing.console
        self._corrections = correction_prompt(
            partial(editor.edit_or_keep, fail=drawing.fail), vi=vi
        )
        self._choices = choice_prompt()

    def say(self, text: str) -> None:
        self._drawing.say(text)

    def notify(self, text: str) -> None:
        self._notices.add(text)

    def fail(self, error: ShammahError) -> None:
        self._drawing.fail(error)

    def show(self, text: str) -> None:
        self._drawing.show(text)

    def show_grid(self, grid: Grid) -> None:
        grids.show(grid, self._console)

    def show_answer(self, pieces: Iterator[str]) -> None:
        with typing_ahead() as typed:
            markdown.show(pieces, self._console, self._drawing.code_theme, typed)

    def show_progress(self, events: Iterator[JobEvent]) -> None:
        with typing_ahead() as typed:
            progress.show(events, self._console, typed)

    def show_comparison(self, found: Comparison) -> None:
        comparing.show(found, self._console)

    def ask_preference(self, found: Comparison, swapped: bool) -> Preference:
        return comparing.ask(found, swapped, self._console)

    def ask_correction(self, answer: str, draft: Callable[[], str]) -> str:
        proposal = self._wait_for(draft)
        key = "Ctrl-C" if self._vi else "Esc"
        self.say(f"What should the answer have been? (Enter accepts, {key} skips)")
        correction = ""
        try:
            with self._notices.above_prompt():
                correction = ask_correction(
                    self._corrections,
                    printable(answer),
                    proposal,
                    self._drawing.shown,
                    self.has_colours,
                ).strip()
        except Skipped as skipped:
            (typed,) = skipped.args
            if typed.strip() not in ("", proposal.strip()):
                self.propose(f"/fix {typed}")
        except EOFError:
            pass
        if not correction:
            self.say("kept as a draft, nothing is learned from it; /fix ANSWER completes it")
        return correction

    def propose(self, line: str) -> None:
        self._proposed = line

    @property
    def proposed(self) -> str:
        """What the next prompt begins with, once."""
        line, self._proposed = self._proposed, ""
        return line

    @property
    def asker(self) -> TerminalScreen:
        return self

    def choose(self, options: Mapping[str, str]) -> str:
        self.say("  ".join(f"[{letter}] {text}" for letter, text in options.items()))
        while True:
            try:
                with self._notices.above_prompt():
                    typed = self._choices.prompt().strip().casefold()
            except (EOFError, KeyboardInterrupt):
                return LEAVE
            if typed in options:
                return typed
            self.say(f"type one of {', '.join(options)}")

    def edit(self, text: str) -> str:
        return editor.edit(text)

    def copy(self, text: str) -> None:
        def write(control: str) -> None:
            sys.stdout.write(control)
            sys.stdout.flush()

        clipboard.copy(text, write)

    @property
    def has_colours(self) -> bool:
        return self._console.color_system is not None and not self._console.no_color

    def bar(self, chat: Chat, watch: JobWatch) -> str:
        """The line under the prompt."""
        talk = bar.Talk(chat.speed, chat.context_tokens, chat.can_judge)
        return self._drawing.shown(
            bar.line(watch.status, watch.progress, talk, self._console.width)
        )

    def _wait_for(self, draft: Callable[[], str]) -> str:
        try:
            spinner = "line" if self._drawing.is_plain else "dots"
            with (
                typing_ahead(),
                self._console.status(
                    "drafting a better answer", spinner=spinner, refresh_per_second=4
                ),
            ):
                return draft()
        except KeyboardInterrupt:
            return ""
