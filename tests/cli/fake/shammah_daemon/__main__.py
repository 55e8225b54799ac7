"""`python -m shammah_daemon` of the tests: takes the lock, listens, ends on SIGTERM.

`FAKE_START_ERROR` makes it refuse to start, as a daemon with a bad configuration does.
"""

from __future__ import annotations

import os
import sys

import uvicorn
from filelock import FileLock, Timeout

from shammah.paths import Paths

from .app import State, build


def main() -> None:
    if "FAKE_START_ERROR" in os.environ:
        print(f"error: {os.environ['FAKE_START_ERROR']}\nhint: mend it", file=sys.stderr)
        sys.exit(2)
    paths = Paths.from_environment()
    paths.create()
    try:
        with FileLock(paths.lock, timeout=0):
            uvicorn.run(
                build(paths, State(os.getpid())),
                uds=str(paths.socket),
                log_level="critical",
                timeout_graceful_shutdown=0,  # a watching chat would hold it up
            )
    except Timeout:
        print("error: another daemon is running", file=sys.stderr)
        sys.exit(2)


main()
