"""What is well and what is not, with a way out each. Pure: knows only what `look` has seen."""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from shammah import cron
from shammah.errors import ShammahError
from shammah.protocol import Health, PlanView, Status
from shammah.service import keeper
from shammah.wording import size

State = Literal["ok", "warn", "fail"]

OLDEST_PYTHON = (3, 11)

#: A file from further ahead than that says that the clock is behind.
CLOCK_SLACK = timedelta(minutes=5)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: State
    found: str
    way_out: str = ""


@dataclass(frozen=True)
class Folder:
    """A folder of the home as it was found."""

    path: Path
    mode: int  # st_mode
    ours: bool
    writable: bool


@dataclass(frozen=True)
class Probe:
    """What a process of its own found out: its JSON, or how it failed."""

    found: Mapping[str, Any] | None
    problem: str = ""


def python(version: Sequence[int]) -> Check:
    said = ".".join(map(str, version[:3]))
    if tuple(version[:2]) < OLDEST_PYTHON:
        return Check(
            "python", "fail", said, "use Python 3.11 or newer: PYTHON=python3.11 scripts/setup"
        )
    return Check("python", "ok", said)


def llama(probe: Probe) -> Check:
    if probe.found is None:
        way = "scripts/setup compiles it; it needs a C++ compiler"
        return Check("llama.cpp", "fail", probe.problem, way)
    return Check("llama.cpp", "ok", f"{probe.found['version']}; {probe.found['features']}")


def precision(probe: Probe) -> Check:
    """Lessons compute in bfloat16 only where the processor multiplies it natively."""
    if probe.found is None:
        return Check("training", "fail", probe.problem, "scripts/setup installs torch")
    said = f"torch {probe.found['version']}, {probe.found['precision']} on {probe.found['device']}"
    if probe.found["precision"] == "bfloat16":
        return Check("training", "ok", said)
    way = "bfloat16 is not native here, lessons take about twice as long: a smaller base is quicker"
    return Check("training", "warn", said, way)


def gpu(training: Probe, llama_cpp: Probe) -> Check:
    """Whether both sides use the GPU that one of them sees."""
    trains = training.found is not None and training.found["device"] == "cuda"
    serves = llama_cpp.found is not None and bool(llama_cpp.found["gpu"])
    if trains and not serves:
        way = "llama.cpp was built without it: install nvcc, remove .venv and run scripts/setup"
        return Check("gpu", "warn", "used for lessons, not for answers", way)
    if trains:
        return Check("gpu", "ok", "used for lessons and answers")
    return Check("gpu", "ok", "none that torch can use: the processor does all")


def home(folders: Sequence[Folder]) -> Check:
    if not folders:
        return Check("home", "ok", "nothing there yet: the first start makes it")
    for folder in folders:
        if not (folder.ours and folder.writable):
            way = "make it yours and writable, or set SHAMMAH_HOME to another folder"
            return Check("home", "fail", f"you cannot write to {folder.path}", way)
    open_to_others = [f.path for f in folders if stat.S_IMODE(f.mode) & 0o077]
    if open_to_others:
        named = " ".join(map(str, open_to_others))
        return Check("home", "warn", f"others can read {named}", f"chmod 700 {named}")
    return Check("home", "ok", f"{folders[0].path}, for you alone")


def settings(problem: ShammahError | None) -> Check:
    if problem is None:
        return Check("settings", "ok", "valid")
    return Check("settings", "fail", problem.message, problem.hint)


def daemon(health: Health | None, version: str) -> Check:
    if health is None:
        return Check("daemon", "warn", "not running", "'shammah daemon start' starts it")
    said = f"shammah {health.version}, process {health.pid}"
    if health.version != version:
        way = f"this is {version}: 'shammah daemon restart' brings them together"
        return Check("daemon", "warn", said, way)
    return Check("daemon", "ok", said)


def service(state: keeper.State) -> Check:
    if state.installed and not (state.enabled and state.running):
        way = "'shammah daemon install' puts it right"
        return Check("service", "warn", keeper.in_words(state), way)
    return Check("service", "ok", keeper.in_words(state))


def database(problems: Sequence[str] | None) -> Check:
    """None: no daemon could look."""
    if problems is None:
        return Check("database", "warn", "not looked at", "it is checked through a running daemon")
    if problems:
        way = "'shammah restore FILE --force' puts a backup in its place"
        return Check("database", "fail", "; ".join(problems), way)
    return Check("database", "ok", "whole")


def model(status: Status | None) -> Check:
    if status is None:
        return Check("model", "warn", "not looked at", "ask a running daemon")
    if status.base is None:
        return Check("model", "fail", "none", "'shammah model add PATH.gguf' adds one")
    said = f"{status.base}, version {status.active_version}, engine {status.engine.state}"
    if status.engine.problem:
        way = "'shammah versions rollback' or 'shammah model use' serves another"
        return Check("model", "fail", f"{said}: {status.engine.problem}", way)
    return Check("model", "ok", said)


def room(status: Status | None, disk_free_bytes: int, memory_bytes: int) -> Check:
    """Whether the next lesson on the active base fits."""
    forecast = status.forecast if status else None
    if forecast is None:
        said = f"{size(disk_free_bytes)} of disk free, {size(memory_bytes)} of memory"
        way = "a running daemon tells what the next lesson needs"
        return Check("room", "warn", said, way)
    if forecast.shortage:
        way = "free some, close other programs, or use a smaller base"
        return Check("room", "fail", f"the next lesson lacks {forecast.shortage}", way)
    return Check(
        "room",
        "ok",
        f"a lesson takes {size(forecast.disk_bytes)} of {size(forecast.disk_free_bytes)} disk and "
        f"{size(forecast.memory_bytes)} of {size(forecast.memory_available_bytes)} memory",
    )


def plan(found: PlanView | None) -> list[Check]:
    """How the next lesson would compute, a line a choice; nothing where no daemon could say."""
    if found is None:
        return []
    return [Check(line.name, "ok", f"{line.choice}: {line.reason}") for line in found.lines]


def night(cron_expression: str | None, now: datetime, zone: str, newest: datetime | None) -> Check:
    """The clock, and when the night's lesson is next.

    Args:
        cron_expression: None where the settings cannot be read.
        now: on the wall.
        newest: when the database was last written, on the wall.
    """
    said = f"{now:%Y-%m-%d %H:%M} {zone}"
    if newest is not None and newest > now + CLOCK_SLACK:
        way = "set the clock: nights are counted by it"
        return Check("clock", "warn", f"{said}, but the database is from {newest:%Y-%m-%d}", way)
    following = cron.next_after(cron_expression, now) if cron_expression else None
    if following is None:
        return Check("clock", "ok", f"{said}; no lesson at night")
    return Check("clock", "ok", f"{said}; the next night is {following:%Y-%m-%d %H:%M}")
