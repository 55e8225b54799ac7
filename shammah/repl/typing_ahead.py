"""What is typed while something is drawn: shown below it at once, and given to the next prompt."""

from __future__ import annotations

import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from prompt_toolkit.input import Input, create_input
from prompt_toolkit.input.typeahead import get_typeahead, store_typeahead
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from shammah.wording import printable

_PROMPT = "> "
_ENTER = " \N{RETURN SYMBOL} "


class TypedAhead:
    """The keys typed so far; as a renderable of rich one row, or none before the first key."""

    def __init__(self) -> None:
        self._text = ""
        self.on_key: Callable[[], object] = lambda: None  # called by the thread that reads

    @property
    def rows(self) -> int:
        """That the drawing takes."""
        return 1 if self._text else 0

    def add(self, keys: Iterable[KeyPress]) -> None:
        """Keys that only move or complete show no effect before the prompt has them."""
        for press in keys:
            match press.key:
                case Keys.ControlM | Keys.ControlJ:
                    self._text += _ENTER
                case Keys.ControlH:
                    self._text = self._text[:-1]
                case Keys.ControlU:
                    self._text = ""
                case Keys.BracketedPaste:
                    self._text += press.data
                case str(key) if not isinstance(key, Keys):
                    self._text += key
        self.on_key()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self._text:
            return
        shown = printable(self._text).replace("\n", " ")
        while cell_len(_PROMPT + shown) > options.max_width:
            shown = shown[1:]
        yield Text(_PROMPT + shown, style="dim", no_wrap=True)


@contextmanager
def typing_ahead() -> Iterator[TypedAhead]:
    """Read what is typed, without the terminal's own echo; Ctrl-C interrupts as ever."""
    typed = TypedAhead()
    try:
        terminal = sys.stdin.fileno()
        before = termios.tcgetattr(terminal)
    except (termios.error, OSError, ValueError):  # no terminal
        yield typed
        return
    keyboard = create_input()
    read = get_typeahead(keyboard)  # before this began
    typed.add(read)
    ended, end = os.pipe()
    reader = threading.Thread(target=_read, args=(keyboard, ended, typed, read), daemon=True)
    unechoed = [*before]
    unechoed[tty.IFLAG] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR | termios.IXON)
    unechoed[tty.LFLAG] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
    termios.tcsetattr(terminal, termios.TCSANOW, unechoed)
    reader.start()
    try:
        yield typed
    finally:
        typed.on_key = lambda: None
        os.close(end)
        reader.join()
        os.close(ended)
        termios.tcsetattr(terminal, termios.TCSANOW, before)
        store_typeahead(keyboard, [*read, *keyboard.flush_keys()])


def _read(keyboard: Input, ended: int, typed: TypedAhead, read: list[KeyPress]) -> None:
    """Until the other end of the pipe `ended` is closed, or the terminal has gone."""
    while not keyboard.closed:
        ready, _, _ = select.select([keyboard.fileno(), ended], [], [])
        if ended in ready:
            return
        keys = keyboard.read_keys()
        read += keys
        typed.add(keys)
