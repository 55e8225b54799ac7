"""What every stage child shares: JSON lines on stdout, dying with its parent, stopping on SIGTERM.

A stage is one step of a job (or the preparation of a base) that runs in a process of its own.
It prints `{"kind": "started"}`, then `{"kind": "progress", ...}` lines and at last one
`{"kind": "result", ...}` or `{"kind": "error", "type", "message", "hint"}` line. One that is
started ahead of its work reads a JSON line from stdin when it is ready for it. What libraries print
goes to stderr. Knows nothing about what a stage does.
"""

from __future__ import annotations

import ctypes
import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TextIO

from shammah import coredumps
from shammah.errors import ShammahError
from shammah.files import storage_error

#: Exit status (EX_TEMPFAIL) of a stage that was told to stop and has left a checkpoint.
STOPPED = 75

_PR_SET_PDEATHSIG = 1

#: In a child's environment: the process id of the parent that it is to end with.
_PARENT = "SHAMMAH_PARENT"

#: What the thread that watches stdin has read (not on Linux, where nothing watches it).
_lines: queue.SimpleQueue[str] = queue.SimpleQueue()

#: Where messages go once the stage has begun.
_messages: TextIO | None = None


class Stop:
    """Set by SIGTERM: the stage writes a checkpoint and raises `Stopped`."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def is_set(self) -> bool:
        return self._event.is_set()


class Stopped(Exception):
    """The stage ended early, on request, with everything on disk to go on later."""


def child_environment() -> dict[str, str]:
    """What a parent gives its children: who it is, and no module path from the present folder.

    Not PYTHONUNBUFFERED: Python would not write the rest of a line that SIGSTOP has interrupted.
    """
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    return {**kept, "PYTHONSAFEPATH": "1", _PARENT: str(os.getpid())}


def begin(*, silent: bool = False) -> None:
    """Tie this process to its parent and say so. The first thing that a stage does, before imports
    that take seconds: whoever stops a child with SIGSTOP waits for it, or a parent that is killed
    would leave it stopped for ever.

    Args:
        silent: another process of the same stage talks with the parent; what this one says and
            reads is nobody's.
    """
    global _messages
    coredumps.forbid()
    if silent:
        _let_go_of_standard_streams()
    _messages = private_stdout()
    if not silent or sys.platform == "linux":
        die_with_parent()
    _emit({"kind": "started"})


def private_stdout() -> TextIO:
    """The real stdout; whatever a library prints from now on goes to stderr."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return out


def become(command: list[str]) -> NoReturn:
    """Instead of `begin`: become a program whose children are this stage. It ends with our parent
    and they with it; the one of them that is not silent has our streams."""
    coredumps.forbid()
    if sys.platform == "linux":  # elsewhere that one watches stdin
        die_with_parent()
    os.environ[_PARENT] = str(os.getpid())
    os.execv(command[0], command)


def receive(stop: Stop) -> dict[str, Any]:
    """What the parent asks for, when it does. Until then SIGTERM ends the process at once.

    Raises:
        Stopped: the parent wants nothing any more.
    """
    with waiting(stop):
        line = sys.stdin.readline() if sys.platform == "linux" else _lines.get()
    if not line:
        raise Stopped
    request: dict[str, Any] = json.loads(line)
    return request


@contextmanager
def waiting(stop: Stop) -> Iterator[None]:
    """SIGTERM ends the process at once: it waits for work and has nothing to lose.

    Raises:
        Stopped: SIGTERM has come before.
    """
    handler = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if stop.is_set():
        raise Stopped
    yield
    signal.signal(signal.SIGTERM, handler)


def report(**fields: Any) -> None:
    """Tell the parent how far this stage is; see `protocol.JobEvent` for the fields."""
    _emit({"kind": "progress", **fields})


def run(stage: Callable[[Stop], dict[str, Any]]) -> NoReturn:
    """After `begin`: run `stage`, report its result or its error, and exit 0, 1 or `STOPPED`."""
    stop = Stop()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is the daemon's to handle
    with reporting():
        try:
            _emit({"kind": "result", **stage(stop)})
        except Stopped:
            _exit(STOPPED)
    _exit(0)


@contextmanager
def reporting() -> Iterator[None]:
    """An error in the block is told to the parent, and ends the process."""
    try:
        yield
    except ShammahError as error:
        _fail(error)
    except OSError as error:
        _fail(error if error.filename is None else _from_os(error))
    except Exception as error:
        _fail(error)


def die_with_parent() -> None:
    """End this process when its parent ends, also while it is stopped by SIGSTOP (Linux).

    Whether it had ended before that was asked for, its number tells, which is in our environment:
    an orphan's new parent may be any process that reaps, and in a container a rightful one is 1.

    Elsewhere a thread waits for the end of stdin, which the parent holds open.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.environ.get(_PARENT, str(os.getppid())) != str(os.getppid()):
            os._exit(1)
    else:
        threading.Thread(target=_exit_at_end_of_stdin, daemon=True).start()


def _let_go_of_standard_streams() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(nothing, stream)
    os.close(nothing)


def _exit_at_end_of_stdin() -> None:
    for line in sys.stdin:
        _lines.put(line)
    os._exit(1)


def _from_os(error: OSError) -> ShammahError:
    from pathlib import Path

    return storage_error(error, Path(os.fsdecode(error.filename)))


def _fail(error: BaseException) -> NoReturn:
    traceback.print_exc()
    hint = error.hint if isinstance(error, ShammahError) else ""
    message = (
        error.message if isinstance(error, ShammahError) else f"{type(error).__name__}: {error}"
    )
    _emit({"kind": "error", "type": type(error).__name__, "message": message, "hint": hint})
    _exit(1)


def _exit(status: int) -> NoReturn:
    """End at once. To take Python apart with torch and a model in it takes over a second, while
    the parent waits; all that a stage leaves is on disk by then."""
    sys.stderr.flush()
    os._exit(status)


def _emit(message: dict[str, Any]) -> None:
    print(json.dumps(message), file=_messages, flush=True)
