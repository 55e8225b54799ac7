"""Draws an answer as markdown while it comes; knows pieces of text and a console, nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import TracebackType

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import Segment

from shammah.repl.markdown_blocks import split_finished
from shammah.repl.typing_ahead import TypedAhead
from shammah.wording import printable

#: Drawing more often costs the processor that generates and is not seen.
_REFRESH_SECONDS = 1 / 12


class _Tail:
    """The unfinished block, or its last lines where it and what is typed are taller than the
    screen."""

    def __init__(self, drawn: Markdown, typed: TypedAhead, *, below_others: bool) -> None:
        self._drawn = drawn
        self._typed = typed
        self._below_others = below_others

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self._drawn, options.update(height=None), pad=False)
        if self._below_others:
            lines.insert(0, [])
        for line in lines[-(console.size.height - 1 - self._typed.rows) :]:
            yield from line
            yield Segment.line()


class MarkdownStream:
    """A context in which pieces of one answer are fed; on leaving, the rest is drawn for good.

    Args:
        typed: drawn below the answer, and again with every key.
    """

    def __init__(
        self,
        console: Console,
        code_theme: str = "ansi_light",
        typed: TypedAhead | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._code_theme = code_theme
        self._typed = typed or TypedAhead()
        self._clock = clock
        self._live = Live(
            self._typed,
            console=console,
            auto_refresh=False,
            transient=True,
            vertical_overflow="visible",
        )
        self._pending = ""
        self._printed = False
        self._drawn_at = float("-inf")

    def __enter__(self) -> MarkdownStream:
        self._live.start()
        self._typed.on_key = self._live.refresh
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()
        self._print(self._pending)

    def feed(self, piece: str) -> None:
        self._pending += printable(piece)
        now = self._clock()
        if now - self._drawn_at < _REFRESH_SECONDS:
            return
        self._drawn_at = now
        finished, self._pending = split_finished(self._pending)
        below_others = self._printed or bool(finished)
        tail = _Tail(self._markdown(self._pending), self._typed, below_others=below_others)
        self._live.update(Group(tail, self._typed))
        self._print(finished)
        self._live.refresh()

    def _print(self, text: str) -> None:
        if not text.strip():
            return
        if self._printed:
            self._console.print()
        self._console.print(self._markdown(text))
        self._printed = True

    def _markdown(self, text: str) -> Markdown:
        return Markdown(text, code_theme=self._code_theme)


def show(
    pieces: Iterator[str],
    console: Console,
    code_theme: str = "ansi_light",
    typed: TypedAhead | None = None,
) -> None:
    """Draw `pieces` as they come; what there is stays on the screen if they break off."""
    with MarkdownStream(console, code_theme, typed) as stream:
        for piece in pieces:
            stream.feed(piece)
