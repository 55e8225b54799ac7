"""`python -m shammah_tui`: the monitor on this terminal, or in a browser."""

from __future__ import annotations

import argparse
import os
import sys
from typing import NoReturn

from shammah.client import Client
from shammah.errors import ShammahError, UsageError
from shammah.paths import Paths
from shammah.place import place

PORT = 8742


def main() -> NoReturn:
    """Show the monitor until the user quits it."""
    parser = argparse.ArgumentParser(prog="shammah tui", description="Watch and steer the daemon.")
    parser.add_argument("--read-only", action="store_true", help="offer nothing that changes")
    parser.add_argument("--web", action="store_true", help="show it in a browser on this machine")
    parser.add_argument("--port", type=int, default=PORT, help="of the browser's address")
    wishes = parser.parse_args()
    try:
        if wishes.web:
            show_in_browser(wishes.port, read_only=wishes.read_only)
            sys.exit()
        sys.exit(show(Paths.from_environment(), read_only=wishes.read_only))
    except ShammahError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)


def show(paths: Paths, *, read_only: bool) -> int:
    """The monitor on this terminal; its exit code."""
    in_browser = "TEXTUAL_DRIVER" in os.environ  # textual-serve draws it
    if not in_browser and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "the monitor needs a terminal",
            hint="'shammah tui --web' shows it in a browser, 'shammah status' prints the figures",
        )
    from shammah_tui.app import Monitor

    daemon = place(paths)
    monitor = Monitor(lambda: Client(daemon), read_only=read_only, taste=paths.state_dir)
    monitor.run()
    return monitor.return_code or 0


def show_in_browser(port: int, *, read_only: bool) -> None:
    """The same behind a token; each browser window runs a monitor of its own."""
    from shammah_tui import browser

    command = [sys.executable, "-P", "-m", "shammah_tui"]
    browser.serve(command + ["--read-only"] * read_only, port)


if __name__ == "__main__":
    main()
