"""Looks at this machine and the home for the doctor. Judges nothing, changes nothing.

Works without a daemon. torch and llama.cpp are asked in processes of their own: one that cannot be
imported, or that crashes, is a finding.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import psutil

from shammah import __version__, config, launch
from shammah.client import Client
from shammah.config import Config
from shammah.doctor import checks
from shammah.doctor.checks import Check, Folder, Probe
from shammah.errors import ShammahError
from shammah.paths import Paths
from shammah.protocol import Health, PlanView, Status
from shammah.service import keeper

#: What a probe may take: importing torch on a busy machine.
PROBE_SECONDS = 120.0


def examine(paths: Paths) -> list[Check]:
    """Every check, in the order in which one builds on another."""
    probes = [_begin("shammah.engine.features"), _begin("shammah.training.features")]
    settings, problem = _settings(paths)
    health, status, broken, plan = _ask(paths)
    folder = _existing(paths.data_dir)
    written = _written(paths.database)
    llama, training = map(_end, probes)
    return [
        checks.python(sys.version_info[:3]),
        checks.llama(llama),
        checks.precision(training),
        checks.gpu(training, llama),
        checks.home(_folders(paths)),
        checks.settings(problem),
        checks.daemon(health, __version__),
        checks.service(keeper.state_for(keeper.of_platform(), paths.data_dir)),
        checks.model(status),
        checks.database(broken),
        checks.room(status, shutil.disk_usage(folder).free, psutil.virtual_memory().total),
        *checks.plan(plan),
        checks.night(
            settings.learning.consolidate_at if settings else None,
            datetime.now(),
            datetime.now().astimezone().tzname() or "",
            written,
        ),
    ]


def _settings(paths: Paths) -> tuple[Config | None, ShammahError | None]:
    try:
        return config.load(paths.config_file), None
    except ShammahError as error:
        return None, error


def _ask(
    paths: Paths,
) -> tuple[Health | None, Status | None, list[str] | None, PlanView | None]:
    """What a daemon says, as far as one answers: one of another version may not know all."""
    health, status, broken, plan = launch.health_of(paths), None, None, None
    if health is not None:
        with Client(paths.socket) as client, suppress(ShammahError):
            status = client.status()
            broken = client.integrity()
            plan = client.plan()
    return health, status, broken, plan


def _begin(module: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _end(process: subprocess.Popen[str]) -> Probe:
    try:
        out, err = process.communicate(timeout=PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return Probe(None, f"no answer after {PROBE_SECONDS:.0f} s")
    if process.returncode:
        said = err.strip().splitlines()
        return Probe(None, said[-1] if said else f"ended with {process.returncode}")
    return Probe(json.loads(out.splitlines()[-1]))


def _folders(paths: Paths) -> list[Folder]:
    found = []
    for path in dict.fromkeys(
        (paths.data_dir, paths.config_dir, paths.state_dir, paths.runtime_dir)
    ):
        with suppress(FileNotFoundError):
            status = path.stat()
            writable = os.access(path, os.W_OK | os.X_OK)
            found.append(Folder(path, status.st_mode, status.st_uid == os.getuid(), writable))
    return found


def _existing(path: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _written(path: Path) -> datetime | None:
    with suppress(OSError):
        return datetime.fromtimestamp(path.stat().st_mtime)
    return None
