"""Lines from other threads: above the prompt while it is open, else held until it opens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prompt_toolkit.patch_stdout import patch_stdout


class Notices:
    def __init__(self, draw: Callable[[str], None]) -> None:
        self._draw = draw
        self._lock = threading.Lock()
        self._held: list[str] = []
        self._prompt_is_open = False

    def add(self, line: str) -> None:
        with self._lock:
            if self._prompt_is_open:
                self._draw(line)
            else:
                self._held.append(line)

    @contextmanager
    def above_prompt(self) -> Iterator[None]:
        """Around every prompt: lines go above it, and what is being typed stays."""
        with patch_stdout(raw=True):
            with self._lock:
                for line in self._held:
                    self._draw(line)
                self._held.clear()
                self._prompt_is_open = True
            try:
                yield
            finally:
                with self._lock:
                    self._prompt_is_open = False
