"""Draws an answer as markdown while it comes; knows pieces of text and a console, nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import TracebackType

from markdown_it import MarkdownIt
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import Segment

from shammah.wording import printable

#: Drawing more often costs the processor that generates and is not seen.
_REFRESH_SECONDS = 1 / 12

_PARSER = MarkdownIt().enable("strikethrough").enable("table")  # as rich.markdown parses


def split_finished(text: str) -> tuple[str, str]:
    """`text` cut before its last top-level block: only that one can still change.

    Finished blocks are drawn once and scroll away; the rest is drawn again with every piece.
    """
    starts = [
        token.map[0]
        for token in _PARSER.parse(text)
        if token.level == 0 and token.map is not None and token.nesting >= 0
    ]
    if len(starts) < 2:
        return "", text
    lines = text.split("\n")
    return "\n".join(lines[: starts[-1]]), "\n".join(lines[starts[-1] :])


class _Tail:
    """The unfinished block, or its last lines where it is taller than the screen."""

    def __init__(self, text: str, *, below_others: bool) -> None:
        self._text = text
        self._below_others = below_others

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(Markdown(self._text), options.update(height=None), pad=False)
        if self._below_others:
            lines.insert(0, [])
        for line in lines[-(console.size.height - 1) :]:
            yield from line
            yield Segment.line()


class MarkdownStream:
    """A context in which pieces of one answer are fed; on leaving, the rest is drawn for good."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._live = Live(
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
        self._live.update(_Tail(self._pending, below_others=self._printed or bool(finished)))
        self._print(finished)
        self._live.refresh()

    def _print(self, text: str) -> None:
        if not text.strip():
            return
        if self._printed:
            self._console.print()
        self._console.print(Markdown(text))
        self._printed = True


def show(pieces: Iterator[str], console: Console) -> None:
    """Draw `pieces` as they come; what there is stays on the screen if they break off."""
    with MarkdownStream(console) as stream:
        for piece in pieces:
            stream.feed(piece)
