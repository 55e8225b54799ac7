"""Whether a chat is one on a terminal or of a pipe; each loads what it needs."""

from __future__ import annotations

import sys

from shammah.paths import Paths


def run(paths: Paths, *, go_on: bool = False) -> int:
    """Chat until the user leaves or the input ends. Returns the exit code.

    Args:
        go_on: with the newest session.
    """
    if sys.stdin.isatty() and sys.stdout.isatty():
        from shammah.repl import terminal

        terminal.run(paths, go_on=go_on)
        return 0
    from shammah.repl import composing

    return composing.run_pipe(paths, go_on=go_on)
