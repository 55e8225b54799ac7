"""A stage run to its end as a process of its own: its result and its peak of memory.

Knows no stage.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shammah.errors import JobError

CHILD_SECONDS = 900.0

_BYTES = 1 if sys.platform == "darwin" else 1024  # the unit of ru_maxrss


@dataclass(frozen=True)
class Done:
    """What a stage said at its end, and the most memory that it ever held."""

    result: dict[str, Any]
    peak_bytes: int


def run(
    name: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    request: Mapping[str, Any] | None = None,
) -> Done:
    """Run `python -m` with `command`; whatever else a library prints is left out.

    Args:
        request: the line that a stage which is started ahead of its work waits for.

    Raises:
        JobError: the stage failed, or took more than `CHILD_SECONDS`; holds the end of what it
            said.
    """
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], env=dict(environment),
            cwd=Path(__file__).parent.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=errors,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(CHILD_SECONDS, process.kill)
        timer.start()
        try:
            with process.stdin as stdin:
                stdin.write(json.dumps(request).encode() + b"\n")
                stdin.flush()
                with process.stdout as stdout:
                    said = stdout.read()
            # Not Popen.wait: only this tells the memory of this child alone.
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            timer.cancel()
        errors.seek(0)
        lines = [*said.splitlines(), *errors.read().splitlines()]
    for line in reversed(lines):
        if line.startswith(b'{"kind": "result"'):
            return Done(json.loads(line), usage.ru_maxrss * _BYTES)
    end = [line.decode(errors="replace") for line in lines[-3:]]
    raise JobError(f"{name} failed: " + " / ".join(end))
