"""Opens the user's editor on a text; knows nothing of what the text is for."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from shammah.errors import ShammahError, UsageError

#: Tried in this order where the user has named none.
_COMMON = ("nano", "vim", "vi")


def edit(text: str) -> str:
    """What the user makes of `text` in $VISUAL or $EDITOR, its ends trimmed.

    Raises:
        UsageError: there is no editor, or it failed.
    """
    command = _command()
    # The folder is the user's alone, and so is what other programs would leave beside the file.
    with tempfile.TemporaryDirectory(prefix="shammah-") as folder:
        file = Path(folder) / "answer.md"
        file.write_text(f"{text}\n" if text else "", encoding="utf-8")
        try:
            done = subprocess.run([*command, str(file)], check=False)
        except OSError as error:
            raise UsageError(
                f"the editor {command[0]!r} cannot be started: {error.strerror}",
                hint="set EDITOR to another one",
            ) from error
        if done.returncode:
            raise UsageError(
                f"the editor {command[0]!r} ended with exit code {done.returncode}",
                hint="nothing was changed",
            )
        return file.read_text(encoding="utf-8").strip()


def edit_or_keep(text: str, fail: Callable[[ShammahError], None]) -> str:
    """The same; without an editor the text stays as it is, and `fail` is told why."""
    try:
        return edit(text)
    except ShammahError as error:
        fail(error)
        return text


def _command() -> list[str]:
    named = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if named:
        return shlex.split(named)
    found = next(filter(shutil.which, _COMMON), None)
    if found is None:
        raise UsageError("there is no editor", hint="set EDITOR to one")
    return [found]
