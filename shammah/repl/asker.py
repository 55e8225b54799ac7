"""Where somebody is who can be asked; knows no question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from shammah.errors import ShammahError

#: What is chosen by whoever leaves without an answer.
LEAVE = "q"


class Asker(Protocol):
    def say(self, text: str) -> None:
        """A remark."""

    def show(self, text: str) -> None:
        """What the question is about."""

    def fail(self, error: ShammahError) -> None:
        """An error, and the way out."""

    def choose(self, options: Mapping[str, str]) -> str:
        """The letter of one of `options`, or `LEAVE`."""

    def edit(self, text: str) -> str:
        """What the user makes of a text in an editor. Raises UsageError without one."""
