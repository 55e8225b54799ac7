"""A child and its parent: it ends with it, whatever number either has."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from shammah.stage import child_environment

LIVES = "from shammah.stage import die_with_parent; die_with_parent(); print('lives')"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere stdin tells")


def child(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LIVES],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_child_of_its_parent_lives() -> None:
    assert child(child_environment()).stdout == "lives\n"


def test_a_child_that_another_process_has_inherited_ends() -> None:
    ended = child(child_environment() | {"SHAMMAH_PARENT": str(os.getpid() + 1)})
    assert (ended.returncode, ended.stdout) == (1, "")


def test_a_stage_that_somebody_runs_by_hand_lives() -> None:
    assert child(dict(os.environ)).stdout == "lives\n"


def test_what_a_child_says_is_buffered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    assert "PYTHONUNBUFFERED" not in child_environment()
