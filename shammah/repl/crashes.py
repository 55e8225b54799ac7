"""Writes down where a client failed unexpectedly; not the message, which may repeat a prompt."""

from __future__ import annotations

import os
import traceback
from datetime import UTC, datetime

from shammah.paths import Paths


def record(error: BaseException, paths: Paths) -> str:
    """Append the traceback to the clients' log and say it in one line."""
    said = f"unexpected {type(error).__name__}: {error}".splitlines()[0]
    log = paths.logs / "shammah.log"
    try:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as problem:
        return f"{said} (no log: {problem.strerror})"
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
        file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {type(error).__name__}\n")
        file.write("Traceback (most recent call last):\n")
        traceback.print_tb(error.__traceback__, file=file)
    return f"{said} (the traceback is in {log})"
