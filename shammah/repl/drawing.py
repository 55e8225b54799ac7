"""What is drawn on suits the terminal: its colours, its background, its signs. Reads no key."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from shammah.errors import ShammahError
from shammah.repl import signs
from shammah.wording import error_lines, printable


@dataclass(frozen=True)
class Drawing:
    console: Console
    code_theme: str
    is_plain: bool  # ASCII only

    @classmethod
    def on_terminal(cls, theme: str) -> Drawing:
        """Makes standard output write ASCII only where the terminal knows no more.

        Args:
            theme: the setting `chat.theme`.
        """
        behind = signs.background(theme, os.environ)
        is_plain = signs.is_plain(os.environ)
        if is_plain:
            signs.make_plain(sys.stdout)
        console = Console(highlight=False, theme=signs.theme(behind))
        return cls(console, signs.CODE_THEMES[behind], is_plain)

    def shown(self, text: str) -> str:
        """What the terminal can show of a text that does not go through standard output."""
        return signs.plain(text) if self.is_plain else text

    def say(self, text: str) -> None:
        """A remark."""
        self._print(text, "dim")

    def show(self, text: str) -> None:
        """What the user asked to see."""
        self._print(text, "")

    def fail(self, error: ShammahError) -> None:
        """An error, and the way out."""
        first, *rest = error_lines(error)
        self._print(first, "red")
        for line in rest:
            self._print(line, "dim")

    def _print(self, text: str, style: str) -> None:
        self.console.print(Text(self.shown(printable(text)), style=style))
