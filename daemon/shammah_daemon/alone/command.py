"""The program behind `scripts/train_lora.py`: from the command line to how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import traceback
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import structlog

from shammah import config as settings
from shammah import coredumps
from shammah.errors import ShammahError
from shammah.paths import Paths
from shammah.publish import ADAPTER_FILE, ADAPTER_FOLDER
from shammah_daemon.alone import wording
from shammah_daemon.alone.folder import QUEUE, RESULT, Folder
from shammah_daemon.alone.options import parse
from shammah_daemon.alone.run import Run
from shammah_daemon.alone.screen import Screen

#: Of a shell whose command was ended by Ctrl-C.
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run to the end; exit codes are those of `shammah` (DESIGN §8)."""
    given = parse(sys.argv[1:] if arguments is None else arguments)
    os.umask(0o077)  # what is trained on is private, and what is made of it
    coredumps.forbid()
    _log_to_stderr()
    try:
        with Screen() as screen:
            asyncio.run(_until_told(_run(given, screen)))
    except ShammahError as error:
        _say(*wording.failure(error))
        sys.exit(error.exit_code)
    except asyncio.CancelledError:
        _say(*_interrupted(given))
        sys.exit(INTERRUPTED)
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    sys.exit(0)


async def _until_told(work: Any) -> None:
    """Ctrl-C and SIGTERM cancel the work, which ends its stage with a checkpoint."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await task


async def _run(given: Namespace, screen: Screen) -> None:
    folder = Folder(given.out.absolute())
    begun = folder.begun() if given.resume else None
    home = begun.home if begun and "home" not in given else getattr(given, "home", None)
    paths = _paths(home)
    run = Run(paths, settings.load(paths.config_file), screen)
    try:
        if given.dry_run:
            data, forecast = await run.look(given)
            taken = asdict(forecast) if forecast else None
            _print(given, {**data.as_dict(), "forecast": taken}, wording.report(data, taken))
        else:
            result = await (run.resume(given, begun) if begun else run.begin(given))
            screen.say(wording.outcome(result))
            _print(given, {"out": str(folder.path), **result}, _made(folder.path))
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            await run.close()


def _paths(home: Path | str | None) -> Paths:
    if home is None:
        return Paths.from_environment()
    return Paths.from_environment({"SHAMMAH_HOME": str(home)})


def _made(out: Path) -> list[str]:
    """The files that there are, a line each."""
    names = (ADAPTER_FOLDER, ADAPTER_FILE, "log.jsonl", RESULT, QUEUE)
    found = [out / name for name in names if (out / name).exists()]
    return [str(path) for path in [*found, *sorted(out.glob("model-*.gguf"))]]


def _print(given: Namespace, data: dict[str, Any], text: Sequence[str]) -> None:
    print(json.dumps(data) if given.json else "\n".join(text), flush=True)


def _interrupted(given: Namespace) -> list[str]:
    if not Folder(given.out.absolute()).begun_file.exists():
        return ["interrupted: nothing was trained yet"]
    return [
        f"interrupted: {given.out} keeps a checkpoint, {given.queue} is as it was",
        "hint: the same command with --resume goes on",
    ]


def _say(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr, flush=True)


def _log_to_stderr() -> None:
    """Only what is wrong: standard output is for data."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("error"),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
