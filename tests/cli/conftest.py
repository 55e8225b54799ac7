"""A home of its own for every test, and the `shammah` command with a stand-in for the daemon."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from shammah import launch
from shammah.errors import DaemonUnreachable
from shammah.paths import Paths

FAKE = Path(__file__).parent / "fake"
SOURCES = Path(__file__).parents[2]

Shammah = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Paths]:
    """An empty home; the daemon that any client starts in it is the stand-in, ended after."""
    monkeypatch.setenv("SHAMMAH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FAKE), str(SOURCES)]))
    monkeypatch.setenv("TERM", "xterm-256color")
    found = Paths.from_environment()
    yield found
    with suppress(DaemonUnreachable):
        launch.stop(found, lambda text: None)


@pytest.fixture
def shammah(paths: Paths) -> Shammah:
    """Runs `shammah ARGUMENTS...` and returns what it did."""

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "shammah.cli", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return run
