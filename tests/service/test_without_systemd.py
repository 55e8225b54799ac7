"""Where nothing keeps services: one clear error, and nothing is left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shammah.paths import Paths
from tests.running import scrubbed_environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")


def shammah(home: Paths, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "shammah.cli", "daemon", *words],
        env=scrubbed_environment()
        | {"HOME": str(folder), "XDG_CONFIG_HOME": "", "PATH": str(folder / "bin")}
        | {"SHAMMAH_HOME": str(home.data_dir), "XDG_RUNTIME_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_system_without_systemctl_is_told_what_to_do(home: Paths, tmp_path: Path) -> None:
    refused = shammah(home, tmp_path, "install")
    assert refused.returncode == 1
    assert "systemctl is not installed" in refused.stderr
    assert "shammah daemon start" in refused.stderr
    assert not (tmp_path / ".config").exists()


def test_a_manager_that_does_not_answer_is_told_in_its_own_words(
    home: Paths, tmp_path: Path
) -> None:
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.parent.mkdir()
    systemctl.write_text(
        "#!/bin/sh\necho 'Failed to connect to bus: No medium found' >&2\nexit 1\n"
    )
    systemctl.chmod(0o700)
    refused = shammah(home, tmp_path, "install")
    assert refused.returncode == 1
    assert "No medium found" in refused.stderr
    assert "user manager does not answer" in refused.stderr
    assert not (tmp_path / ".config").exists()


def test_the_unit_can_be_seen_all_the_same(home: Paths, tmp_path: Path) -> None:
    shown = shammah(home, tmp_path, "install", "--print")
    assert shown.returncode == 0
    assert "Type=notify" in shown.stdout
    assert not (tmp_path / ".config").exists()


def test_the_state_is_told_all_the_same(home: Paths, tmp_path: Path) -> None:
    told = shammah(home, tmp_path, "status")
    assert told.stdout.splitlines() == ["daemon: not running", "service: not installed"]


def test_what_is_not_there_is_not_removed(home: Paths, tmp_path: Path) -> None:
    done = shammah(home, tmp_path, "uninstall")
    assert done.returncode == 0
    assert "no service is installed" in done.stderr
