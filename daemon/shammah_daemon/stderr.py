"""What the daemon, its engines and its stages write to stderr: llama.cpp's lines, tracebacks.

They write to their files themselves, which are therefore cut in place, and only at the start.
"""

from __future__ import annotations

import os
from pathlib import Path

LONGEST_BYTES = 4 << 20
KEPT_BYTES = 1 << 20


def shorten(folder: Path) -> None:
    """Leave of each long `*.err` file the newest lines. Whoever has it open appends to it."""
    for path in folder.glob("*.err"):
        if path.stat().st_size > LONGEST_BYTES:
            with path.open("r+b") as file:
                file.seek(-KEPT_BYTES, os.SEEK_END)
                _, _, newest = file.read().partition(b"\n")
                file.seek(0)
                file.write(newest)
                file.truncate()
