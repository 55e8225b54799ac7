"""A real daemon on a fresh temporary home, ended and removed with the block that asked for it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from shammah import config as settings
from shammah.client import Client
from shammah.config import Config
from shammah.errors import DaemonUnreachable, ShammahError
from shammah.paths import Paths
from shammah.protocol import BaseView
from shammah.records import FINAL_STATES, JobState
from shammah.stage import die_with_parent

#: Told, on stderr, what goes on.
Say = Callable[[str], None]

START_SECONDS = 60.0
PREPARE_SECONDS = 600.0
STOP_SECONDS = 30.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Session:
    """A running daemon and what a benchmark needs to know of it."""

    client: Client
    paths: Paths
    config: Config  # of the caller's environment; the benchmark's overrides come on top
    started: float  # time.monotonic() when its process was started

    @property
    def base(self) -> BaseView:
        """The base that serves."""
        return next(base for base in self.client.bases() if base.active)


@contextlib.contextmanager
def fresh_daemon(overrides: Mapping[str, str] | None = None) -> Iterator[Session]:
    """A daemon on a home of its own.

    Args:
        overrides: settings as environment variables; those of the caller's environment hold too,
            so that a benchmark can be run with any setting.

    Raises:
        DaemonUnreachable: it ended while starting, or does not answer.
        ConfigError: the settings are not valid.
    """
    home = Path(tempfile.mkdtemp(prefix="shammah-bench-"))
    try:
        environment = {**os.environ, **(overrides or {}), "SHAMMAH_HOME": str(home)}
        paths = Paths.from_environment(environment)
        paths.create()
        with _process(environment, paths) as process, Client(paths.socket) as client:
            started = time.monotonic()
            _wait_until_it_answers(client, process, paths)
            yield Session(client, paths, settings.load(paths.config_file), started)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def wait_until_prepared(session: Session) -> float:
    """Wait until the base can be taught; seconds since the daemon's process was started.

    Raises:
        ShammahError: it cannot be taught, or is not ready in time.
    """
    while time.monotonic() - session.started < PREPARE_SECONDS:
        preparation = session.client.status().preparation
        if preparation is not None and preparation.prepared == "ready":
            return time.monotonic() - session.started
        if preparation is not None and preparation.prepared == "failed":
            raise ShammahError(f"the base cannot be taught: {preparation.problem}")
        time.sleep(_POLL_SECONDS)
    raise ShammahError(f"the base is not prepared after {PREPARE_SECONDS:.0f} s")


def wait_for_job(session: Session, job_id: int) -> JobState:
    """Wait until a job has ended; how it ended."""
    for event in session.client.job_events(job_id):
        if event.kind == "state" and event.data["state"] in FINAL_STATES:
            return JobState(event.data["state"])
    return session.client.job(job_id).state


def require_promoted(session: Session, job_id: int) -> None:
    """Wait for a job whose version the benchmark needs.

    Raises:
        ShammahError: no version came of it; says why.
    """
    if wait_for_job(session, job_id) is not JobState.PROMOTED:
        raise ShammahError(session.client.job(job_id).summary)


@contextlib.contextmanager
def _process(environment: Mapping[str, str], paths: Paths) -> Iterator[subprocess.Popen[bytes]]:
    """In a session of its own: Ctrl-C is ours, and ends the daemon the orderly way. Where the
    kernel can, it ends the daemon also when we are killed and can end nothing."""
    with (paths.logs / "shammahd.err").open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "shammah_daemon"],
            env=dict(environment), stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
            start_new_session=True,
            preexec_fn=die_with_parent if sys.platform == "linux" else None,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_answers(
    client: Client, process: subprocess.Popen[bytes], paths: Paths
) -> None:  # fmt: skip
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(DaemonUnreachable):
            client.health()
            return
        time.sleep(_POLL_SECONDS)
    said = (paths.logs / "shammahd.err").read_text(errors="replace").strip()
    raise DaemonUnreachable(f"the benchmark's daemon does not answer: {said or 'it said nothing'}")
