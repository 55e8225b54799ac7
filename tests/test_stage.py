"""A child and its parent: it ends with it, whatever number either has, and is understood."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from shammah.stage import child_environment

#: Python's print, and a C library's.
PRINTS = """
import os
from shammah import stage

stage.begin()

def talkative(stop):
    print("* a library's greeting")
    os.write(1, b"* and one from below\\n")
    stage.report(fraction=0.5)
    return {"steps": 1}

stage.run(talkative)
"""

LIVES = "from shammah.stage import die_with_parent; die_with_parent(); print('lives')"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere stdin tells")


def child(environment: dict[str, str], code: str = LIVES) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
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


def test_what_libraries_print_is_no_message() -> None:
    said = child(child_environment(), PRINTS)
    messages = [json.loads(line) for line in said.stdout.splitlines()]
    assert [message["kind"] for message in messages] == ["started", "progress", "result"]
    assert said.stderr.splitlines() == ["* a library's greeting", "* and one from below"]
