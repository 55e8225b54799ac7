"""A process that renders chat templates, and the handle that talks to it.

A template is a program that came with a file from elsewhere. jinja2's sandbox keeps it from the
machine, but not from running for ever or from taking all memory (its documentation says so). Hence
a process with limits that the kernel keeps. Knows no model and no message's meaning.
"""

from __future__ import annotations

import atexit
import datetime
import json
import resource
import signal
import socket
import subprocess
import sys
import threading
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

from shammah import coredumps
from shammah.errors import BaseModelError

if TYPE_CHECKING:
    from jinja2 import Template

#: Processor time for one conversation; the longest that fits a request takes a tenth of it.
CPU_SECONDS = 2.0

#: And by the clock, on a machine that is busy with other things.
WAIT_SECONDS = 15.0

MEMORY_BYTES = 512 << 20

#: Twice the longest request; a template adds a few characters to each message.
TEXT_CHARACTERS = 16 << 20

_HINT = "use another GGUF of the model: its chat template comes with the file"


class Renderer:
    """Renders in a child process, which is started at first need and again after it was ended."""

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None

    def render(self, source: str, variables: dict[str, Any] | None) -> str:
        """The text; without variables the template is only compiled.

        Raises:
            BaseModelError: it cannot be compiled, fails, or takes more than the limits allow.
        """
        request = json.dumps({"source": source, "variables": variables}).encode() + b"\n"
        with self._one_at_a_time:
            try:
                line = self._started()
                line.sendall(request)
                answer = _read_line(line)
            except (OSError, EOFError):
                self.close()
                raise BaseModelError(
                    "the model's chat template takes too long or too much memory", hint=_HINT
                ) from None
        reply = json.loads(answer)
        if "error" in reply:
            raise BaseModelError(reply["error"], hint=_HINT)
        text: str = reply["text"]
        return text

    def close(self) -> None:
        """End the child."""
        if self._line is not None:
            self._line.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._line = self._process = None

    def _started(self) -> socket.socket:
        if self._process is not None and self._process.poll() is not None:
            self.close()  # it was killed while nobody asked
        if self._line is None:
            self._line, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "shammah.bases.rendering"],
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            self._line.settimeout(WAIT_SECONDS)
        return self._line


@cache
def renderer() -> Renderer:
    """This process's renderer: one, because a child costs 20 MB and a tenth of a second."""
    shared = Renderer()
    atexit.register(shared.close)
    return shared


def _read_line(line: socket.socket) -> bytes:
    answer = bytearray()
    while not answer.endswith(b"\n"):
        if not (more := line.recv(1 << 16)):
            raise EOFError
        answer += more
    return bytes(answer)


def main() -> None:
    """The child: a JSON line in, a JSON line out, until the end of stdin."""
    _compiled("")  # imports before the limits hold
    _limit()
    for request in sys.stdin.buffer:
        # Its default action ends the process, also inside one endless operation.
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        reply = json.dumps(_answer(**json.loads(request)))
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.write(reply + "\n")
        sys.stdout.flush()


def _answer(source: str, variables: dict[str, Any] | None) -> dict[str, str]:
    try:
        template = _compiled(source)
    except Exception as error:
        return {"error": f"the model's chat template is not usable: {_said(error)}"}
    try:
        return {"text": "" if variables is None else _rendered(template, variables)}
    except Exception as error:
        return {"error": f"the model's chat template failed: {_said(error)}"}


def _said(error: Exception) -> str:
    """Short: a template's own message may be of any length."""
    return (str(error) or type(error).__name__)[:300]


def _rendered(template: Template, variables: dict[str, Any]) -> str:
    pieces, length = [], 0
    for piece in template.generate(**variables):
        pieces.append(piece)
        length += len(piece)
        if length > TEXT_CHARACTERS:
            raise ValueError(f"it writes more than {TEXT_CHARACTERS >> 20} million characters")
    return "".join(pieces)


@lru_cache(maxsize=8)
def _compiled(source: str) -> Template:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = _strftime_now
    environment.filters["tojson"] = _tojson
    return environment.from_string(source)


def _limit() -> None:
    coredumps.forbid()
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":  # elsewhere it is not kept
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def _raise(message: str) -> NoReturn:
    from jinja2 import TemplateError

    raise TemplateError(message)


def _strftime_now(pattern: str) -> str:
    return datetime.datetime.now().strftime(pattern)


def _tojson(value: Any, indent: int | None = None) -> str:
    """Plain JSON: jinja2's own filter escapes for HTML."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


if __name__ == "__main__":
    main()
