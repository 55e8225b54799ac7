"""The command line: parses, calls the client, prints; holds no logic of its own.

This is its edge, where errors become messages and exit codes; the commands are in `commands`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from shammah.errors import ShammahError

INTERRUPTED = 130

#: Set by a shell that completes; then even the bare command is not a chat.
_COMPLETES = "_SHAMMAH_COMPLETE"


def main() -> NoReturn:
    """Run the command line; the one place where errors become messages and exit codes."""
    try:
        code = run(sys.argv[1:])
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else int(done.code is not None)
    except ShammahError as error:
        code = _fail(error)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        code = 1
    except Exception as error:
        code = _crash(error)
    sys.exit(_flush(code))


def run(arguments: Sequence[str]) -> int:
    """The chat where nothing is asked for, else a command. Returns the exit code.

    The chat's first prompt does not wait for typer, which would parse nothing in 0.1 s.

    Raises:
        SystemExit: typer's, of a command that has ended with a code of its own.
    """
    if arguments or _COMPLETES in os.environ:
        from shammah.cli.commands import app

        app()
        return 0
    from shammah.paths import Paths
    from shammah.repl.run import run as chat

    return chat(Paths.from_environment())


def _fail(error: ShammahError) -> int:
    from shammah.wording import error_lines

    print("\n".join(error_lines(error)), file=sys.stderr)
    return error.exit_code


def _crash(error: Exception) -> int:
    from shammah.paths import Paths
    from shammah.repl.crashes import record

    return _fail(ShammahError(record(error, Paths.from_environment())))


def _flush(code: int) -> int:
    """Give out what is buffered; a reader that has gone away is no error worth a word."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left in the buffer would fail again, loudly, when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code or 1
    return code
