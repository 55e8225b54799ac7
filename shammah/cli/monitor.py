"""`shammah tui`: becomes the monitor, a program of its own that this package never imports."""

from __future__ import annotations

import os
import sys

#: `-P` keeps the folder the user happens to be in off the monitor's module path.
COMMAND = (sys.executable, "-P", "-m", "shammah_tui")


def tui() -> None:
    """Watch the model, the examples and the jobs on one screen."""
    os.execv(COMMAND[0], COMMAND)
