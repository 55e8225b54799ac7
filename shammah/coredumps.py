"""No core file of a process that holds the user's words. Knows nothing of what they are."""

from __future__ import annotations

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4


def forbid() -> None:
    """Let this process leave no core, in a file or through a program that collects them.

    The limit is inherited by children and holds for files. A collector that is fed by a pipe
    (core(5)) does not have to look at it, so on Linux the process is also no longer dumpable, which
    each program must ask for itself: exec gives it back. Other programs of the user can then not
    attach to it or read its memory and environment either; root still can.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)
