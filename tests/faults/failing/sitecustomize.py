"""A disk that fails once: the N-th thing that a process does to a file of the home raises EIO.

Python imports this where its folder is on PYTHONPATH. `FAILING_ACT` names a file whose name is
`MODULE@N`: in a process that runs that module the N-th opening for writing, renaming, linking or
making of a folder in `SHAMMAH_HOME` fails. The file is then gone, and nothing fails any more. The
product knows nothing of this: audit hooks (PEP 578) see every such call.
"""

import errno
import os
import sys
from pathlib import Path
from typing import Any

HOME = os.environ.get("SHAMMAH_HOME", "")
FAULT = os.environ.get("FAILING_ACT", "")
WRITING = os.O_WRONLY | os.O_RDWR
ACTS = {"os.rename", "os.link", "os.mkdir"}

_seen = 0


def strike(event: str, arguments: tuple[Any, ...]) -> None:
    global _seen
    if not (event in ACTS or (event == "open" and (arguments[2] or 0) & WRITING)):
        return
    path = os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes) else ""
    if not path.startswith(HOME) or path.startswith(str(Path(HOME, "logs"))):
        return
    _seen += 1
    if _seen == NUMBER and Path(FAULT).exists():
        Path(FAULT).rename(FAULT + ".struck")
        raise OSError(errno.EIO, os.strerror(errno.EIO), path)


if FAULT:
    MODULE, _, at = Path(FAULT).name.partition("@")
    NUMBER = int(at)
    if MODULE in sys.orig_argv:
        sys.addaudithook(strike)
