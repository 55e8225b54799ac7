"""What the doctor says of what was seen; and the whole of it once, without a daemon."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from shammah.doctor import checks
from shammah.doctor.checks import Check, Folder, Probe
from shammah.errors import ConfigError
from shammah.paths import Paths
from shammah.protocol import (
    EngineStatus,
    ForecastView,
    Health,
    PlanLine,
    PlanView,
    Status,
)
from shammah.service.keeper import State

GB = 10**9
NOW = datetime(2026, 5, 4, 22, 0)
PRIVATE = stat.S_IFDIR | 0o700
CUDA = Probe({"version": "2.12", "device": "cuda", "precision": "bfloat16"})
CPU = Probe({"version": "2.12", "device": "cpu", "precision": "float32"})
LLAMA = Probe({"version": "0.3", "features": "CPU : AVX2 = 1", "gpu": False})
BROKEN = Probe(None, "ImportError: libstdc++.so.6")


def status(shortage: str | None = None, problem: str | None = None) -> Status:
    return Status(
        version="0.1.0", pid=1, uptime_seconds=1, base="tiny", active_version=2,
        engine=EngineStatus(state="failed" if problem else "ready", problem=problem),
        examples={}, waiting=0, missing=1, threshold=1, job=None, last_job=None, preparation=None,
        forecast=ForecastView(
            disk_bytes=GB, memory_bytes=GB, disk_free_bytes=9 * GB, memory_available_bytes=9 * GB,
            memory_total_bytes=9 * GB, shortage=shortage,
        ),
        home="/h", log_file="/h/l",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("check", "state", "said"),
    [
        (checks.python((3, 12, 1)), "ok", "3.12.1"),
        (checks.python((3, 10, 0)), "fail", "3.10.0"),
        (checks.llama(LLAMA), "ok", "AVX2"),
        (checks.llama(BROKEN), "fail", "libstdc++"),
        (checks.precision(CUDA), "ok", "bfloat16 on cuda"),
        (checks.precision(CPU), "warn", "float32 on cpu"),
        (checks.precision(BROKEN), "fail", "ImportError"),
        (checks.gpu(CUDA, LLAMA), "warn", "not for answers"),
        (checks.gpu(CPU, LLAMA), "ok", "none"),
        (checks.home([]), "ok", "nothing there yet"),
        (checks.home([Folder(Path("/h"), PRIVATE, True, True)]), "ok", "/h"),
        (checks.home([Folder(Path("/h"), PRIVATE | 0o055, True, True)]), "warn", "others can read"),
        (checks.home([Folder(Path("/h"), PRIVATE, True, False)]), "fail", "cannot write to /h"),
        (checks.settings(None), "ok", "valid"),
        (checks.settings(ConfigError("no key x", hint="mend it")), "fail", "no key x"),
        (checks.daemon(None, "1"), "warn", "not running"),
        (checks.daemon(Health(pid=7, version="0"), "1"), "warn", "shammah 0"),
        (checks.daemon(Health(pid=7, version="1"), "1"), "ok", "process 7"),
        (checks.service(State(Path("/u"))), "ok", "not installed"),
        (checks.service(State(Path("/u"), True, True, True)), "ok", "enabled, running"),
        (checks.service(State(Path("/u"), True, True, False)), "warn", "not running"),
        (checks.database([]), "ok", "whole"),
        (checks.database(["row 3 missing"]), "fail", "row 3 missing"),
        (checks.database(None), "warn", "not looked at"),
        (checks.model(status()), "ok", "tiny, version 2"),
        (checks.model(status(problem="no file")), "fail", "no file"),
        (checks.room(status(), GB, GB), "ok", "1.0 GB of 9.0 GB disk"),
        (checks.room(status(shortage="disk: 2 GB needed"), GB, GB), "fail", "lacks disk"),
        (checks.room(None, 5 * GB, GB), "warn", "5.0 GB of disk free"),
        (checks.night("0 3 * * *", NOW, "CEST", NOW), "ok", "next night is 2026-05-05 03:00"),
        (checks.night("", NOW, "CEST", None), "ok", "no lesson at night"),
        (checks.night("", NOW, "CEST", NOW + timedelta(days=9)), "warn", "from 2026-05-13"),
    ],
)
def test_each_check_says_what_it_found_and_a_way_out_where_there_is_need(
    check: Check, state: str, said: str
) -> None:
    assert check.state == state
    assert said in check.found
    assert bool(check.way_out) == (state != "ok")


def test_each_choice_of_the_plan_is_a_line_with_its_reason() -> None:
    line = PlanLine(name="activations", choice="kept", reason="they fit")
    found = PlanView(
        base="tiny", device="cpu", precision="float32", four_bit=False, max_tokens=1024, passes=1,
        recompute=False, predicted_bytes=GB, lines=[line], shortage=None, estimate=None,
    )  # fmt: skip
    assert checks.plan(found) == [Check("activations", "ok", "kept: they fit")]
    assert checks.plan(None) == []


def test_without_a_daemon_the_whole_is_examined_and_a_bad_setting_fails_it(home: Paths) -> None:
    home.config_file.write_text('[learning]\nconsolidate_at = "tonight"\n')
    done = subprocess.run(
        [sys.executable, "-m", "shammah.cli", "doctor", "--json"],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    found = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == 1, done.stderr
    assert [name for name, check in found.items() if check["state"] == "fail"] == ["settings"]
    assert "learning.consolidate_at = 'tonight'" in found["settings"]["found"]
    assert found["daemon"]["state"] == "warn"
    assert "torch" in found["training"]["found"]
