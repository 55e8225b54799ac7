"""The console that suits the terminal: its colours, its background, its signs. Reads no key."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from rich.console import Console

from shammah.repl import signs


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
