"""Quantizes a merged F16 file with llama.cpp, and says which types suit a model.

Importing this loads no llama.cpp: the daemon asks for the ladder.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shammah.bases.gguf_header import read_header
from shammah.errors import JobError
from shammah.files import building, require_space
from shammah.publish.quantizations import Quantization, lookup
from shammah.stage import Stop, Stopped

_LOG_ERROR = 4  # GGML_LOG_LEVEL_ERROR
_TENSOR_LINE = re.compile(r"\[\s*(\d+)/\s*(\d+)\]")

#: What llama.cpp may still call although nobody waits for it.
_kept: list[object] = []


def quantize(
    source: Path,
    path: Path,
    type_name: str,
    *,
    threads: int,
    stop: Stop,
    on_progress: Callable[[float], None],
) -> None:
    """Write the F16 file `source` to `path` as `type_name`.

    `on_progress` gets the fraction of the tensors that are done.

    Raises:
        UsageError: no such type.
        BaseModelError: `source` is no complete GGUF file.
        JobError: llama.cpp refused.
        StorageError: the disk is full or the place is not writable.
        Stopped: `stop` was set. Nothing is left behind, here and above.
    """
    quantization = lookup(type_name)
    header = read_header(source)
    header.check_complete()
    with building(path) as partial:
        if type_name == "F16":
            _link(source, partial)
            return
        most_bytes = int(header.file_bytes * quantization.most_bits / 16)
        require_space(path.parent, most_bytes)
        with _llama_log(on_progress) as errors:
            status = _run_llama(source, partial, quantization, threads, stop)
        if status:
            require_space(path.parent, most_bytes)  # if it filled up meanwhile, that is the reason
            raise JobError(
                f"llama.cpp could not quantize {source} to {type_name}: "
                + (" ".join(errors) or f"status {status}")
            )
        read_header(partial).check_complete()


def _run_llama(
    source: Path, path: Path, quantization: Quantization, threads: int, stop: Stop
) -> int:
    """llama.cpp's status. It cannot be interrupted, so it runs beside the wait for `stop`."""
    import llama_cpp

    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = quantization.file_type
    params.nthread = threads
    statuses: list[int] = []

    def call() -> None:
        statuses.append(
            llama_cpp.llama_model_quantize(
                os.fsencode(source), os.fsencode(path), ctypes.byref(params)
            )
        )

    worker = threading.Thread(target=call, daemon=True)
    worker.start()
    while worker.is_alive():
        worker.join(timeout=0.1)
        if stop.is_set():
            raise Stopped
    return statuses[0]


@contextmanager
def _llama_log(on_progress: Callable[[float], None]) -> Iterator[list[str]]:
    """llama.cpp's log turned into progress and the error lines that are yielded.

    Everything also goes to stderr: stdout carries the stage's own lines.
    """
    import llama_cpp

    errors: list[str] = []

    def on_line(level: int, text: bytes, _user_data: ctypes.c_void_p) -> None:
        line = text.decode(errors="replace")
        sys.stderr.write(line)
        if level == _LOG_ERROR:
            errors.append(line.strip())
        if match := _TENSOR_LINE.match(line):
            on_progress(int(match[1]) / int(match[2]))

    callback = llama_cpp.llama_log_callback(on_line)
    llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    try:
        yield errors
    except Stopped:
        _kept.append(callback)  # llama.cpp goes on, and calls it, until the process ends
        raise
    llama_cpp.llama_log_set(llama_cpp._logger.llama_log_callback, ctypes.c_void_p(0))


def _link(source: Path, path: Path) -> None:
    """The same file under another name, or its copy where the file system has no hard links."""
    try:
        path.hardlink_to(source)
    except OSError:
        require_space(path.parent, source.stat().st_size)
        shutil.copyfile(source, path)
