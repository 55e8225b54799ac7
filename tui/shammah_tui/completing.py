"""Paths that are typed: completed by what is on the disk of this machine."""

from __future__ import annotations

import asyncio
from pathlib import Path

from textual.suggester import Suggester


class PathSuggester(Suggester):
    """Completes the last part of a path."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        return await asyncio.to_thread(completed, value)


def completed(typed: str) -> str | None:
    """The first path by name that begins as `typed`; a folder ends with a slash."""
    folder, slash, begun = typed.rpartition("/")
    if not begun:
        return None
    try:
        found = min(
            (one for one in expanded(folder + slash).iterdir() if one.name.startswith(begun)),
            default=None,
        )
        return f"{folder}{slash}{found.name}{'/' * found.is_dir()}" if found else None
    except OSError:
        return None


def expanded(typed: str) -> Path:
    """The path that is meant, absolute; `~` is the user's home."""
    try:
        return Path(typed).expanduser().absolute()
    except RuntimeError:  # there is no such user
        return Path(typed).absolute()
