"""`shammah tui` as a user starts it."""

from __future__ import annotations

import subprocess
import sys

import pexpect
import pytest

from shammah.paths import Paths

pytestmark = pytest.mark.timeout(60)


def test_it_opens_on_a_terminal_and_q_leaves_it(paths: Paths) -> None:
    monitor = pexpect.spawn(
        sys.executable, ["-m", "shammah.cli", "tui"], dimensions=(24, 80), timeout=20
    )
    monitor.expect("No daemon")
    monitor.send("q")
    monitor.expect(pexpect.EOF)
    monitor.close()
    assert monitor.exitstatus == 0


def test_it_refuses_to_draw_on_what_is_not_a_terminal(paths: Paths) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shammah.cli", "tui"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "error: the monitor needs a terminal\nhint: 'shammah status' prints the same figures\n"
    )
